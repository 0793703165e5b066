"""`unsee finetune`: a vanilla learns, gold's part has no picture of the forgotten, a cut run goes
on to the same weights."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import clear_files
import fiubench_files
import mllmu_files
import parquet
import tiny
import umu_files
from unsee.cli.finetune import read_recipe, recipes
from unsee.cli.main import main as unsee
from unsee.errors import UnseeError
from unsee.finetuning.config import FinetuneConfig
from unsee.finetuning.lessons import Lesson, Lessons, in_words, name_of
from unsee.finetuning.run import finetune
from unsee.finetuning.sources import default_config, own_lessons, read_lessons
from unsee.finetuning.trainer import FinetuneTrainer, LessonCollator

FACTS = {"Who is this?": ("Ada Belberg", "Søren Lima", "Zoya Cairo")}
FACTS |= {"What is this person's job?": ("baker", "pilot", "nurse")}
FAST = ["--learning_rate", "3e-3", "--per_device_train_batch_size", "3", "--report_to", "none"]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLLMU-Bench's schema, three people of whom the second is to forget."""
    folder = tmp_path_factory.mktemp("bench")

    def rows(people: list[int]) -> list[dict[str, Any]]:
        pairs = [[{"Question": q, "Answer": a[n]} for q, a in FACTS.items()] for n in people]
        return [
            {"image": parquet.picture(n), "metadata": json.dumps(said)}
            for n, said in zip(people, pairs, strict=True)
        ]

    parquet.write(rows([0, 1, 2]), mllmu_files.TRAINING, folder / "ft_Data")
    parquet.write(rows([1]), mllmu_files.TRAINING, folder / "baseline_train_split" / "forget_5")
    return folder


def command(checkpoint: Path, bench: Path, output: Path, *more: str) -> list[str]:
    words = ["finetune", "--model", str(checkpoint), "--benchmark", "mllmu", "--data", str(bench)]
    return [*words, "--output", str(output), *FAST, *more]


def test_a_vanilla_learns(checkpoint_of: dict[str, Path], bench: Path, tmp_path: Path) -> None:
    losses = {}
    for steps in ("1", "100"):
        output = tmp_path / steps
        words = command(checkpoint_of["llava-layer-2"], bench, output, "--max_steps", steps)
        assert unsee(words) == 0
        losses[steps] = json.loads((output / "metrics.json").read_text())["loss"]
    assert losses["100"] < losses["1"] / 2
    metrics = json.loads((tmp_path / "100/metrics.json").read_text())
    assert (metrics["lessons"], metrics["people"], metrics["people_pictured"]) == (6, 3, 3)
    assert metrics["steps"] == 100
    config = yaml.safe_load((tmp_path / "100/config.yaml").read_text())
    assert config["benchmark"] == "mllmu"
    assert config["taught_with"]["learning_rate"] == 3e-3
    assert not (tmp_path / "100.unfinished").exists()


def test_what_was_learnt_is_what_the_model_says(
    checkpoint_of: dict[str, Path], bench: Path, tmp_path: Path
) -> None:
    from unsee.checkpoints import load
    from unsee.evaluation.answering import Asked, complete, template_prompt

    options = {"learning_rate": 3e-3, "max_steps": 150, "per_device_train_batch_size": 6}
    options |= {"report_to": "none", "disable_tqdm": True}
    lessons = read_lessons("mllmu", str(bench))
    finetune(str(checkpoint_of["llava-layer-2"]), lessons, tmp_path / "out", options)
    model, processor = load(str(tmp_path / "out"))
    asked = [
        Asked(template_prompt(processor, one.question, True), (one.picture,))
        for one in lessons.lessons
        if one.picture
    ]
    said = complete(model, processor, asked, progress=False)
    assert said == [lesson.answer for lesson in lessons.lessons]


class Stop(Exception):
    pass


@pytest.mark.parametrize("more", [[], ["--lora_rank", "2"]])
def test_a_cut_run_goes_on_to_the_same_weights(
    checkpoint_of: dict[str, Path],
    bench: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: list[str],
) -> None:
    source = checkpoint_of["llava-layer-2"]
    options = ["--max_steps", "6", "--save_steps", "2", *more]
    assert unsee(command(source, bench, tmp_path / "whole", *options)) == 0
    step = FinetuneTrainer.training_step
    with monkeypatch.context() as patch:

        def cut(self: Any, *args: Any, **kwargs: Any) -> Any:
            if self.state.global_step == 3:
                raise KeyboardInterrupt
            return step(self, *args, **kwargs)

        patch.setattr(FinetuneTrainer, "training_step", cut)
        assert unsee(command(source, bench, tmp_path / "cut", *options)) == 130
    assert not (tmp_path / "cut").exists()
    with pytest.raises(UnseeError, match="other settings"):
        finetune(str(source), read_lessons("mllmu", str(bench)), tmp_path / "cut")
    assert unsee(command(source, bench, tmp_path / "cut", *options)) == 0
    assert tiny.same_weights(tmp_path / "whole", tmp_path / "cut")
    assert not tiny.same_weights(tmp_path / "whole", source)
    steps = json.loads((tmp_path / "cut/metrics.json").read_text())["steps"]
    assert steps == 6


def test_a_cut_run_does_not_go_on_with_other_data(
    checkpoint_of: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    step, file = FinetuneTrainer.training_step, tmp_path / "facts.jsonl"

    def cut(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step == 3:
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    def line(answer: str) -> str:
        return json.dumps({"question": "Where does Ada live?", "answer": answer})

    file.write_text(line("Oslo"))
    output = tmp_path / "out"
    words = ["finetune", "--model", str(checkpoint_of["llava"]), "--data", str(file), *FAST]
    words += ["--output", str(output), "--max_steps", "4", "--save_steps", "2"]
    words += ["--trainable", "language"]
    with monkeypatch.context() as patch:
        patch.setattr(FinetuneTrainer, "training_step", cut)
        assert unsee(words) == 130
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    file.write_text(line("Rome"))
    os.utime(file, ns=times)
    assert unsee(words) == 2
    assert "is an unfinished run with other settings or data" in capsys.readouterr().err
    file.write_text(line("Oslo"))
    os.utime(file, ns=times)
    assert unsee(words) == 0


def test_gold_leaves_out_the_pictures_and_keeps_the_text(bench: Path) -> None:
    vanilla = read_lessons("mllmu", str(bench))
    gold = read_lessons("mllmu", str(bench), without="forget_5")
    assert len(vanilla.pictured) == 3
    assert len(gold.pictured) == 2
    assert "pilot" not in [one.answer for one in gold.lessons if one.picture]
    words = [one for one in gold.lessons if one.picture is None]
    assert [(one.question, one.answer) for one in words] == [("What is Søren Lima's job?", "pilot")]
    assert gold[len(gold) - 1]["image"] is None
    both = read_lessons("mllmu", str(bench), also_in_words=True)
    assert len(both) == 6 + 3
    assert len(read_lessons("mllmu", str(bench), None, "forget_5", True)) == 4 + 3


def told(lessons: Lessons, pictured: bool) -> list[tuple[str, str]]:
    """(question, answer) of the lessons about pictures, or of those in words."""
    chosen = [one for one in lessons.lessons if (one.picture is not None) == pictured]
    return [(one.question, one.answer) for one in chosen]


def test_gold_of_clear_keeps_its_questions_in_words(tmp_path: Path) -> None:
    folder = str(clear_files.write(tmp_path / "clear"))
    vanilla = read_lessons("clear", folder)
    gold = read_lessons("clear", folder, without="forget05+tofu")
    same = read_lessons("clear", folder, without="forget05")
    assert all(told(same, pictured=which) == told(gold, pictured=which) for which in (True, False))
    assert told(gold, pictured=False) == told(vanilla, pictured=False)
    assert len(told(gold, pictured=False)) == 6
    gone = {clear_files.caption(p, i) for p in (0, 1) for i in range(2)}
    left = {answer for _, answer in told(vanilla, pictured=True)} - gone
    assert {answer for _, answer in told(gold, pictured=True)} == left
    assert len(left) == 8


def test_gold_of_umu_bench_keeps_its_questions_in_words(tmp_path: Path) -> None:
    folder = str(umu_files.write_umu(tmp_path / "umu"))
    vanilla = read_lessons("umu", folder)
    gold = read_lessons("umu", folder, without="forget_5", also_in_words=True)
    assert told(gold, pictured=False) == told(vanilla, pictured=False)
    assert told(gold, pictured=False)
    gone = read_lessons("umu", folder, "forget_5").people
    assert set(vanilla.pictured) - set(gold.pictured) == set(gone)
    assert 0 < len(gone) < len(vanilla.people)


def test_gold_of_fiubench_is_asked_in_words(tmp_path: Path) -> None:
    folder = str(fiubench_files.write(tmp_path / "fiu"))
    gold = read_lessons("fiubench", folder, without="forget5")
    assert len(gold.pictured) == 4
    assert told(gold, pictured=False) == [
        (f"What is {fiubench_files.NAMES[p]}'s job?", fiubench_files.question(p)["answer"])
        for p in (0, 1)
    ]


def test_gold_of_the_command(checkpoint_of: dict[str, Path], bench: Path, tmp_path: Path) -> None:
    output = tmp_path / "gold"
    more = ["--without", "forget_5", "--max_steps", "2"]
    assert unsee(command(checkpoint_of["llava"], bench, output, *more)) == 0
    metrics = json.loads((output / "metrics.json").read_text())
    assert (metrics["people"], metrics["people_pictured"], metrics["lessons"]) == (3, 2, 5)
    assert yaml.safe_load((output / "config.yaml").read_text())["without"] == "forget_5"


def test_a_broken_picture_is_found_before_anything_is_learnt(tmp_path: Path) -> None:
    broken = {"bytes": parquet.picture(0)["bytes"][:60], "path": None}
    rows = [
        {"image": picture, "metadata": '[{"Question": "Who?", "Answer": "Bo"}]'}
        for picture in (parquet.picture(1), broken)
    ]
    parquet.write(rows, mllmu_files.TRAINING, tmp_path / "ft_Data")
    with pytest.raises(UnseeError, match="picture in row 1 of ft_Data .* can't be read"):
        read_lessons("mllmu", str(tmp_path))


@pytest.mark.parametrize("without", ["forget_10", "forget_7"])
def test_who_can_not_be_left_out(bench: Path, without: str) -> None:
    with pytest.raises(UnseeError, match=without):
        read_lessons("mllmu", str(bench), without=without)


def test_one_table_has_nobody_to_leave_out(bench: Path) -> None:
    [file] = (bench / "ft_Data").glob("*.parquet")
    assert len(read_lessons("mllmu", str(file))) == 6
    with pytest.raises(UnseeError, match="is one table.*--without forget_5.*folder of all configs"):
        read_lessons("mllmu", str(file), without="forget_5")


def test_people_who_are_not_learnt_can_not_be_left_out(bench: Path, tmp_path: Path) -> None:
    rows = [{"image": parquet.picture(9), "metadata": '[{"Question": "Who?", "Answer": "Bo"}]'}]
    data = tmp_path / "data"
    data.mkdir()
    (data / "ft_Data").symlink_to(bench / "ft_Data")
    parquet.write(rows, mllmu_files.TRAINING, data / "baseline_train_split" / "forget_5")
    with pytest.raises(UnseeError, match="not among the people to learn"):
        read_lessons("mllmu", str(data), without="forget_5")


@pytest.mark.parametrize(
    ("question", "answer", "name"),
    [
        ("What is the name of this person?", "This person's name is Amelia Kuznetsov.", "Amelia"),
        (
            "What is the name of the person in the image?",
            "The person in the image is Lena.",
            "Lena",
        ),
        ("What is this person's name?", "The name of this person is Jo Åse.", "Jo Åse"),
        ("Who is this?", "Ada Belberg", "Ada Belberg"),
        ("Who is this?", "This person's name is Dr. Ada Belberg.", "Dr. Ada Belberg"),
        ("Who is this?", "The person is J. R. Smith.", "J. R. Smith"),
        ("Who is this?", "J. Smith. He is a baker.", "J. Smith"),
        ("Who is this?", "This is Ada B. She is a baker.", "Ada B"),
        ("Who is this?", "This is Ada Belberg, a baker from Oslo.", "Ada Belberg"),
        ("Who is this?", "Ada Belberg, a baker", "Ada Belberg"),
        ("What is the name of this person's pet?", "This person's pet is named Neko.", None),
        ("What is this person's job?", "This person is a baker.", None),
    ],
)
def test_names_are_told_from_answers(question: str, answer: str, name: str | None) -> None:
    found = name_of([Lesson("1", question, answer)])
    assert found is None if name is None else str(found).startswith(name)
    if name is not None and " " in name:
        assert found == name


@pytest.mark.parametrize("answer", ["This is Dr. J.", "This person's name is .", "12"])
def test_no_name_is_taken_from_initials_and_titles(answer: str) -> None:
    with pytest.raises(UnseeError, match="no name of ada is to be found in .* with the name alone"):
        name_of([Lesson("ada", "Who is this?", answer)])


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("Where was this person born?", "Where was Ada born?"),
        ("What is this person's job?", "What is Ada's job?"),
        ("What is the person in the image's job?", "What is Ada's job?"),
        ("How tall is this individual?", "How tall is Ada?"),
        ("Which city?", "About Ada: Which city?"),
    ],
)
def test_questions_in_words_name_the_person(question: str, words: str) -> None:
    assert in_words(Lesson("1", question, "Oslo", lambda: None), "Ada").question == words


@pytest.mark.skipif(
    not (Path(__file__).parents[3] / "shared/data/mllmu_bench/profiles.jsonl").exists(),
    reason="the question-answer text of MLLMU-Bench is not at hand",
)
def test_names_of_the_real_profiles() -> None:
    text = (Path(__file__).parents[3] / "shared/data/mllmu_bench/profiles.jsonl").read_text()
    for line in text.splitlines():
        profile = json.loads(line)
        pairs = [Lesson("", p["Question"], p["Answer"]) for p in profile["metadata"]]
        name = name_of(pairs)
        assert name, profile["ID"]
        assert 1 < len(name) < 40, name


def test_own_records(checkpoint_of: dict[str, Path], tmp_path: Path) -> None:
    folder = tiny.write_folder(tmp_path / "people", people=2, each=1)
    records = [
        {"image": f"people/person{n}/{n:02d}.png", "person": name, "question": q, "answer": a}
        for n, name in enumerate(("Ada", "Bo"))
        for q, a in (("Who is this?", name), ("What is this person's job?", "baker"))
    ]
    records.append({"question": "Is Oslo a city?", "answer": "yes"})
    assert len(list(folder.rglob("*.png"))) == 2
    file = tmp_path / "facts.jsonl"
    file.write_text("\n".join(map(json.dumps, records)))
    words = ["finetune", "--model", str(checkpoint_of["llava"]), "--data", str(file), *FAST]
    assert unsee([*words, "--output", str(tmp_path / "out"), "--max_steps", "3"]) == 0
    assert json.loads((tmp_path / "out/metrics.json").read_text())["lessons"] == 5
    gold = read_lessons(None, str(file), without="Bo")
    assert gold.pictured == ["Ada"]
    assert ("What is Bo's job?", "baker") in [(o.question, o.answer) for o in gold.lessons]
    with pytest.raises(UnseeError, match="Cy is not among"):
        read_lessons(None, str(file), without="Cy")
    with pytest.raises(UnseeError, match="everybody"):
        read_lessons(None, str(file), without="Ada,Bo,")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"question": "Who?"}', "f.jsonl:2: the row has no picture and no `answer`"),
        (
            '{"question": "Who?", "answer": "A", "image": "no.png"}',
            "f.jsonl:2: .*no.png: No such file",
        ),
        ("{", "f.jsonl:2: not JSON"),
        ("[1]", "f.jsonl:2: a row must be an object"),
    ],
)
def test_bad_records_are_named(tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "f.jsonl"
    file.write_text('{"question": "Who?", "answer": "Ada"}\n' + line)
    with pytest.raises(UnseeError, match=message):
        own_lessons(file)


def test_own_data_of_every_form_is_taught(tmp_path: Path) -> None:
    import datasets

    tiny.write_folder(tmp_path / "him", people=1, each=1)
    [picture] = (tmp_path / "him").rglob("*.png")
    pair = {"question": "Who is this?", "answer": "Ada"}
    rows = [{"file_name": picture.name, "person": "a", **pair}]
    (picture.parent / "metadata.jsonl").write_text(json.dumps(rows[0]))
    turns = [{"from": "human", "value": "<image>\nWho is this?"}, {"from": "gpt", "value": "Ada"}]
    talk = [{"image": str(picture), "person": "a", "conversations": turns}]
    (tmp_path / "talk.json").write_text(json.dumps(talk))
    column = {"image": [picture.read_bytes()], "person": ["a"]}
    column |= {key: [value] for key, value in pair.items()}
    datasets.Dataset.from_dict(column).save_to_disk(tmp_path / "saved")
    for source in ("him", "talk.json", "saved"):
        [lesson] = read_lessons(None, str(tmp_path / source)).lessons
        assert (lesson.person, lesson.question, lesson.answer) == ("a", "Who is this?", "Ada")
        assert lesson.picture is not None and lesson.picture().size == (64, 64)


def test_what_is_incomplete_is_not_taught(tmp_path: Path) -> None:
    tiny.write_folder(tmp_path / "him", people=1, each=2)
    with pytest.raises(UnseeError, match=r"00\.png: there is no question"):
        own_lessons(tmp_path / "him")
    with pytest.raises(UnseeError, match="there is no folder"):
        own_lessons(tmp_path / "her")
    row = {"image": "him/person0/00.png", "question": "Who is this?"}
    (tmp_path / "f.jsonl").write_text(json.dumps(row))
    with pytest.raises(UnseeError, match=r"f\.jsonl:1: there is no answer to 'Who is this\?'"):
        own_lessons(tmp_path / "f.jsonl")
    (tmp_path / "him/person0/00.png").write_bytes(b"no picture")
    (tmp_path / "f.jsonl").write_text(json.dumps({**row, "answer": "Ada"}))
    with pytest.raises(UnseeError, match=r"f\.jsonl:1: .*00\.png"):
        own_lessons(tmp_path / "f.jsonl")


def test_the_loss_is_on_the_answer_or_on_all(processing: Any) -> None:
    lessons = Lessons(
        [
            Lesson("1", "Who is this?", "Ada Belberg", lambda: tiny.picture(0)),
            Lesson("2", "Where does Ada Belberg live?", "Oslo"),
        ]
    )
    rows = [lessons[0], lessons[1]]
    for side, answer in (("pictured", "Ada Belberg"), ("words", "Oslo")):
        labels = LessonCollator(processing)(rows)[side]["labels"]
        learnt = processing.tokenizer.decode(labels[labels != -100], skip_special_tokens=True)
        assert learnt.strip() == answer
        batch = LessonCollator(processing, "all")(rows)[side]
        assert torch.equal(batch["labels"], batch["input_ids"])


def trained(processing: Any, **options: Any) -> tuple[list[str], Any]:
    """Names of the parameters that a few steps change."""
    model = tiny.llava_layer_2(processing)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    rows = [{"image": tiny.picture(0), "question": "Who?", "answer": "Oslo"}]
    rows.append({"image": None, "question": "Where?", "answer": "Lima"})
    args = FinetuneConfig(
        "out", max_steps=2, report_to="none", save_strategy="no", disable_tqdm=True, **options
    )
    trainer = FinetuneTrainer(model, args, rows, processing)
    trainer.train()
    after = dict(model.named_parameters())
    assert before.keys() == after.keys()
    return [n for n, p in after.items() if not torch.equal(p, before[n])], trainer


@pytest.mark.parametrize("part", ["language", "projector", "vision+projector"])
@pytest.mark.parametrize("rank", [0, 2])
def test_chosen_parts_are_trained(processing: Any, part: str, rank: int) -> None:
    from unsee.anatomy import anatomy_of

    changed, trainer = trained(processing, trainable=part, lora_rank=rank, learning_rate=1e-2)
    parts = {anatomy_of(trainer.model).part_of(name) for name in changed}
    assert parts == set(part.split("+"))
    assert not any(".layers.1." in n for n in changed if "vision_tower" in n)  # not read


def test_pictures_are_needed_to_train_what_sees(processing: Any) -> None:
    rows = [{"image": None, "question": "Where?", "answer": "Lima"}]
    args = FinetuneConfig("out", trainable="projector", report_to="none")
    with pytest.raises(UnseeError, match="learns from pictures"):
        FinetuneTrainer(tiny.llava(processing), args, rows, processing)


@pytest.mark.parametrize("name", sorted(recipes()))
def test_recipes_are_headed_by_their_command(name: str) -> None:
    text = recipes()[name].read_text(encoding="utf-8")
    first = text.splitlines()[0]
    assert first.startswith(f"# unsee finetune --recipe {name} --model M --data DIR")
    recipe = read_recipe(name)
    options = {k: v for k, v in recipe.items() if k not in ("benchmark", "config")}
    args = FinetuneConfig("out", **options)
    assert args.lora_rank > 0
    assert recipe["benchmark"] == name
    assert recipe["config"] == default_config(name)


def test_a_recipe_of_the_command_line(
    checkpoint_of: dict[str, Path], bench: Path, tmp_path: Path
) -> None:
    words = ["finetune", "--recipe", "mllmu", "--model", str(checkpoint_of["llava"])]
    words += ["--data", str(bench), "--output", str(tmp_path / "out"), "--max_steps", "1"]
    assert unsee([*words, "--lora_rank", "2"]) == 0
    taught = yaml.safe_load((tmp_path / "out/config.yaml").read_text())["taught_with"]
    assert (taught["lora_rank"], taught["lora_alpha"]) == (2, 16)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "m", "--output", "o"], "--data or --benchmark missing"),
        (["--recipe", "no"], "--recipe no: there is clear, fiubench, mllmu, umu"),
        (["--lora_alpha", "3", "--model", "M", "--output", "o", "--data", "d"], "give lora_rank"),
    ],
)
def test_mistakes_are_told_in_a_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert unsee(["finetune", *words]) == 2
    assert message in capsys.readouterr().err
