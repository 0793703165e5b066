"""MLLMU-Bench scored: who is an example and who is asked, by models that know and do not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import mllmu_files
import parquet
import tiny
from unsee.cli.main import main
from unsee.errors import UnseeError
from unsee.evaluation.answering import Asked
from unsee.evaluation.benchmarks import kept, people
from unsee.evaluation.benchmarks import mllmu as scoring
from unsee.evaluation.benchmarks.asking import Turn, ask, check_lengths, letter_choices, weigh
from unsee.evaluation.benchmarks.base import Tables
from unsee.evaluation.benchmarks.mllmu import MLLMUScorer

SETS = ("forget", "test", "retain_shared", "retain_celebrity")
KINDS = ("classification", "cloze", "generation")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mllmu_files.write_mllmu(tmp_path_factory.mktemp("mllmu"))


@pytest.fixture(scope="module")
def tables(data: Path) -> Tables:
    return MLLMUScorer().read(str(data), "forget_10")


@pytest.fixture(scope="module")
def wide(processing: Any) -> Any:
    """A random model with a context of 4096 tokens."""
    model = tiny.llava(processing)
    model.config.text_config.max_position_embeddings = 4096
    return model


def test_sets(data: Path, tables: Tables) -> None:
    ids = {name: [p.id for p in found] for name, found in tables.sets.items()}
    assert ids["forget"] == ["001", "003"] and sorted(ids["test"]) == ["001", "003"]
    assert ids["retain_shared"] == ["000", "002", "004", "005"]
    assert ids["retain_celebrity"] == ["c0", "c1", "c2"]
    assert not tables.left_out
    limited = MLLMUScorer().read(str(data), "forget_5", limit=1)
    assert [len(limited.sets[name]) for name in SETS] == [1, 1, 3, 3]


def planned(tables: Tables, processing: Any, protocol: str, seed: int = 0) -> list[Any]:
    return list(MLLMUScorer().plan(processing, tables, protocol, seed))


@pytest.mark.parametrize("protocol", ["corrected", "released"])
def test_examples_are_people_who_are_not_scored(
    tables: Tables, processing: Any, protocol: str
) -> None:
    plan = planned(tables, processing, protocol)
    for name in SETS:
        everybody = {person.id for person in tables.sets[name]}
        for kind in KINDS:
            asked = [a for a in plan if a.set == name and a.item.kind == kind]
            scored = {a.item.id for a in asked}
            shots = {"classification": 1, "cloze": 2, "generation": 0}[kind]
            if (name, kind) == ("retain_celebrity", "classification"):
                shots = 0
            assert len(everybody - scored) == min(shots, len(everybody) - 1)
            pictures = {len(a.prompt.pictures) for a in asked if a.item.direction == "image"}
            each = 1 if protocol == "corrected" else 2  # the picture again with each question
            assert pictures == {1 + each * len(everybody - scored)}
            assert {len(a.prompt.pictures) for a in asked if a.item.direction == "text"} == {0}
            for a in asked:
                for person in tables.sets[name]:
                    name_of, _, _ = person.items("cloze", "text")[0].question.partition(" lives")
                    if kind == "cloze" and a.item.direction == "text" and person.id != a.item.id:
                        assert (name_of in a.prompt.text) == (person.id in everybody - scored)


def test_the_seed_decides(tables: Tables, processing: Any) -> None:
    for protocol in ("corrected", "released"):
        once, again = (planned(tables, processing, protocol) for _ in range(2))
        assert [a.prompt.text for a in once] == [a.prompt.text for a in again]
        assert [a.pose for a in once] == [a.pose for a in again]
        others = [planned(tables, processing, protocol, seed) for seed in range(1, 6)]
        texts = {tuple(a.prompt.text for a in plan) for plan in [once, *others]}
        assert len(texts) > 1
        poses = {tuple(a.pose for a in plan if a.set == "test") for plan in [once, *others]}
        assert len(poses) > 1


def test_one_pose_a_person_where_corrected(tables: Tables, processing: Any) -> None:
    for seed in range(5):
        plan = planned(tables, processing, "corrected", seed)
        of_test = [a for a in plan if a.set == "test" and a.item.direction == "image"]
        assert all(
            len({a.pose for a in of_test if a.item.id == person}) == 1
            for person in {a.item.id for a in of_test}
        )
        forgotten = {a.item.id for a in plan if a.set == "forget" and a.item.kind == "cloze"}
        assert forgotten == {a.item.id for a in of_test if a.item.kind == "cloze"}


def test_without_examples(tables: Tables, processing: Any) -> None:
    scorer = MLLMUScorer()
    scorer.few_shot = False
    plan = list(scorer.plan(processing, tables))
    assert {len(a.prompt.pictures) for a in plan} == {0, 1}
    assert {a.item.id for a in plan if a.set == "forget" and a.item.kind == "cloze"} == {
        *("001", "003")
    }


def knowing(monkeypatch: pytest.MonkeyPatch, answers: Any) -> None:
    """Replaces the model: `answers(asked)` is what it says to a prompt."""
    monkeypatch.setattr(people, "complete", lambda m, p, asked, *rest: [answers(a) for a in asked])
    monkeypatch.setattr(people, "letter_choices", lambda m, p, asked, *rest: ["B"] * len(asked))


class Nothing:
    """A model without a context that could be too short."""

    class config:
        @staticmethod
        def get_text_config() -> None:
            """No text configuration."""


class Short:
    """A model with a context of 100 tokens."""

    class config:
        max_position_embeddings = 100

        @classmethod
        def get_text_config(cls) -> type:
            return cls


def test_the_longest_prompt_is_the_one_of_most_tokens(processing: Any) -> None:
    latin, other = Asked("Where does this person live? " * 5), Asked("李小龙" * 40)
    lengths = [len(processing.tokenizer(one.text).input_ids) for one in (latin, other)]
    assert len(latin.text) > len(other.text) and lengths[0] < 90 < lengths[1]
    check_lengths(Short(), processing, [latin], 1, "cloze")
    for some in ([other], [latin, other]):
        with pytest.raises(UnseeError, match=rf"cloze: a prompt of {lengths[1]} tokens and 1 to"):
            check_lengths(Short(), processing, some, 1, "cloze")
    with pytest.raises(UnseeError, match="an answer that is weighed: a prompt of .* don't fit"):
        weigh(Short(), processing, [latin], [["Oslo", "李小龙" * 40]])


def test_scores_of_a_model_that_says_b(
    tables: Tables, processing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    knowing(monkeypatch, lambda asked: "Because of Cairo ASSISTANT: B")
    ours, rows = MLLMUScorer().score(Nothing(), processing, tables, "corrected")
    script, _ = MLLMUScorer().score(Nothing(), processing, tables, "released")
    # of the two people to forget, one is an example; 001 is right with B, 003 with D
    [scored] = {r["id"] for r in rows if r["set"] == "forget" and r["kind"] == "classification"}
    key = "forget/classification/image"
    assert ours[f"{key}_likelihood_accuracy"] == (1.0 if scored == "001" else 0.0)
    assert ours[f"{key}_accuracy"] == (1.0 if scored == "001" else 0.0)  # the only letter
    assert ours[f"{key}_questions"] == 2
    assert f"{key}_likelihood_accuracy" not in script
    # Cairo is 003's city; a celebrity's choices are asked of all three
    assert ours["retain_celebrity/classification/text_questions"] == 3
    assert ours["retain_celebrity/classification/text_accuracy"] == pytest.approx(1 / 3)
    assert 0 < ours["forget/generation/text_rouge1"] < 1
    assert ours["forget/generation/image_bleu"] < 0.1
    expected = {f"{s}/{k}/{d}" for s in SETS for k in KINDS for d in ("image", "text")}
    for metrics in (ours, script):
        found = {key.removesuffix("_questions") for key in metrics if key.endswith("_questions")}
        assert found == expected
        assert all(0 <= value <= 1 for key, value in metrics.items() if "_questions" not in key)


def test_a_model_that_knows_everything(
    tables: Tables, processing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(tables, processing, "corrected")
    truth = {(a.prompt.text, a.prompt.pictures[-1:]): a.item.answer for a in plan}
    assert len(truth) > 20
    knowing(monkeypatch, lambda asked: truth[asked.text, asked.pictures[-1:]])
    metrics, rows = MLLMUScorer().score(Nothing(), processing, tables)
    for key, value in metrics.items():
        if key.endswith(("_accuracy", "rouge1", "rougeL")) and "likelihood" not in key:
            assert value == 1.0, key
    assert {row["set"] for row in rows} == set(SETS)
    row = next(r for r in rows if r["set"] == "test" and r["direction"] == "image")
    assert "Test_Set" in row["picture"] and row["correct"] is True


def test_a_tiny_model_both_protocols(
    data: Path, processing: Any, wide: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "NEW_TOKENS", 4)
    tables = MLLMUScorer().read(str(data), "forget_5", limit=1)
    for protocol in ("corrected", "released"):
        one, rows = MLLMUScorer().score(wide, processing, tables, protocol, progress=False)
        same, again = MLLMUScorer().score(
            wide, processing, tables, protocol, batch_size=3, progress=False
        )
        assert one == same and rows == again
        assert {row["id"] for row in rows if row["set"] == "forget"} == {"001"}


def test_prompts_that_do_not_fit(tables: Tables, processing: Any) -> None:
    short = tiny.llava(processing)
    with pytest.raises(UnseeError, match=r"classification with examples: a prompt of \d+ tokens"):
        MLLMUScorer().score(short, processing, tables)


def test_answers_to_dialogues_with_pictures(processing: Any, wide: Any) -> None:
    shown = [tiny.picture(i) for i in range(4)]
    prompts = [
        (Turn("Who is this?", shown[0], "Ada"), Turn("And this?", shown[1])),
        (Turn("Where does Ada Belberg live?"),),
        (Turn("Who is this?", shown[2], "Bo"), Turn("And who is this one?", shown[3])),
        (Turn("Who is this?", shown[3]),),
    ]
    together = ask(wide, processing, prompts, 5, batch_size=4, progress=False)
    alone = [ask(wide, processing, [p], 5, progress=False)[0] for p in prompts]
    assert together == alone


def test_the_likeliest_letter(processing: Any, wide: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from unsee.evaluation.benchmarks import asking

    prompts = [(Turn(text, tiny.picture(i)),) for i, text in enumerate(["Who?", "Which city?"])]
    letters = [["A", "B", "C"], ["B", "D"]]
    found = letter_choices(wide, processing, prompts, letters, progress=False)
    assert all(letter in offered for letter, offered in zip(found, letters, strict=True))
    # where the first tokens are the same, whole likelihoods decide
    monkeypatch.setattr(asking, "option_tokens", lambda processor, option: [0])
    weights = weigh(wide, processing, prompts, letters, progress=False)
    expected = [o[w.index(max(w))] for o, w in zip(letters, weights, strict=True)]
    assert letter_choices(wide, processing, prompts, letters, progress=False) == expected


def test_what_is_missing(data: Path, tmp_path: Path) -> None:
    mllmu_files.parquet.write(
        mllmu_files.evaluated([1, 3]), mllmu_files.EVALUATION, tmp_path / "forget_5"
    )
    tables = MLLMUScorer().read(str(tmp_path))
    assert list(tables.sets) == ["forget"]
    assert set(tables.left_out) == {"test", "retain_shared", "retain_celebrity"}
    parquet.write(mllmu_files.posed([0, 2]), mllmu_files.POSES, tmp_path / "Test_Set")
    assert MLLMUScorer().read(str(tmp_path)).left_out["test"] == "nobody of forget_5 is in Test_Set"
    with pytest.raises(
        UnseeError, match="there is no config forget_15 in .*holds Test_Set, forget"
    ):
        MLLMUScorer().read(str(tmp_path), "forget_15")
    with pytest.raises(UnseeError, match="retain_95 is no config of people to forget"):
        MLLMUScorer().read(str(data), "retain_95")
    with pytest.raises(UnseeError, match="is one table, and several are scored"):
        MLLMUScorer().read(str(next(tmp_path.rglob("*.parquet"))))


def test_awkward_pictures(tmp_path: Path) -> None:
    rows = mllmu_files.evaluated([1, 3, 4])
    rows[1]["image"] = None
    parquet.write(rows, mllmu_files.EVALUATION, tmp_path / "forget_5")
    tables = MLLMUScorer().read(str(tmp_path))
    assert tables.left_out["forget, questions about pictures"] == "1 people have no picture"
    rows[2]["image"] = parquet.truncated(4)
    parquet.write(rows, mllmu_files.EVALUATION, tmp_path / "forget_5")
    with pytest.raises(UnseeError, match=r"the picture in row 2 of forget_5 .* can't be read"):
        MLLMUScorer().read(str(tmp_path))


def test_who_has_no_picture_is_no_example(
    tmp_path: Path, processing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = mllmu_files.evaluated([1, 3, 4])
    rows[1]["image"] = None
    parquet.write(rows, mllmu_files.EVALUATION, tmp_path / "forget_5")
    tables = MLLMUScorer().read(str(tmp_path))
    told = dict(tables.left_out)
    for seed in range(8):
        plan = planned(tables, processing, "corrected", seed)
        asked = [a for a in plan if a.item.kind != "generation" and a.item.direction == "image"]
        assert asked and all(len(a.prompt.pictures) > 1 for a in asked)
    assert tables.left_out == told
    for seed in range(8):
        planned(tables, processing, "released", seed)
    reason = "003 has no picture to show"
    assert tables.left_out["forget/classification/image, examples"] == reason
    assert tables.left_out["forget/cloze/image, examples"] == reason


@pytest.fixture(scope="module")
def checkpoint(processing: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    model = tiny.llava(processing)
    model.config.text_config.max_position_embeddings = 4096
    return str(tiny.save(tmp_path_factory.mktemp("wide") / "model", model, processing))


def evaluate(checkpoint: str, *words: str) -> int:
    return main(["evaluate", checkpoint, "--benchmark", "mllmu", *words])


def test_the_command(
    data: Path, checkpoint: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["--data", str(data), "--limit", "1", "--output", str(tmp_path / "run")]
    assert evaluate(checkpoint, *words) == 0
    out = capsys.readouterr().out
    assert re.search(r"forget/cloze/image_accuracy +\d\.\d{3}", out)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert {f"{s}/{k}/image_questions" for s in SETS for k in KINDS} <= metrics.keys()
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["benchmark"] == "mllmu" and config["protocol"] == "corrected"
    assert config["forget_config"] == "forget_5" and config["limit"] == 1
    assert config["wants"]["forget/cloze/text"] == {"released": "low", "visual": "kept"}
    lines = (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()
    assert {"set", "id", "prediction", "answer"} <= json.loads(lines[0]).keys()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "./nowhere"], "there is no folder or file ./nowhere"),
        (["--forget-config", "forget_7"], "has no config 'forget_7'"),
        (["--limit", "0"], "--limit must be at least 1"),
        (["--gold", "./x"], "there is no model folder ./x"),
        (["--further"], "--further is for the embedded benchmark alone"),
        (["--forget", "forget_10"], "--forget is for the embedded benchmark alone: use --forget-c"),
        (["--percent", "0"], "--percent is for the embedded benchmark alone"),
    ],
)
def test_the_data_is_read_before_the_model(
    words: list[str],
    message: str,
    checkpoint: str,
    data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from unsee import checkpoints

    def loaded(*_: Any, **__: Any) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(checkpoints, "load", loaded)
    given = words if "--data" in words else ["--data", str(data), *words]
    assert evaluate(checkpoint, *given) == 2
    assert message in capsys.readouterr().err
    assert not Path("runs").exists()


def test_beside_gold(tables: Tables, processing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = MLLMUScorer()
    knowing(monkeypatch, lambda asked: "Cairo")
    _, rows = scorer.score(Nothing(), processing, tables)
    knowing(monkeypatch, lambda asked: "nothing")
    _, golds = scorer.score(Nothing(), processing, tables)
    gaps = scorer.against_gold(rows, golds)
    cairo = [r["answer"] == "Cairo" for r in rows if r["set"] == "retain_shared"
             and r["kind"] == "cloze" and r["direction"] == "text"]  # fmt: skip
    expected = 100 * sum(cairo) / len(cairo)
    assert gaps["gap/retain_shared/cloze/text_accuracy"] == pytest.approx(expected)
    assert gaps["gap/forget/classification/image_likelihood_accuracy"] == 0
    assert not any(key.endswith(("_low", "_questions")) for key in gaps)


def test_a_processor_without_a_chat_template(tables: Tables, processing: Any) -> None:
    class Plain:
        chat_template = None

    with pytest.raises(UnseeError, match="Plain has no chat template.*add --zero-shot"):
        list(MLLMUScorer().plan(Plain(), tables))


def test_zero_shot(
    data: Path, checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", str(data), "--limit", "1", "--zero-shot", "--output", str(tmp_path / "run")]
    assert evaluate(checkpoint, *words) == 0
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["few_shot"] is False
    words = [*words[:4], "--gold", str(tmp_path / "run"), "--output", str(tmp_path / "other")]
    assert evaluate(checkpoint, *words) == 2
    assert "is of few_shot False, and True is asked for" in capsys.readouterr().err


def test_two_rows_of_one_id_have_answers_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import SimpleNamespace

    def asking(row: int) -> Any:
        item = SimpleNamespace(id="7", picture=SimpleNamespace(where=f"row {row}"))
        return SimpleNamespace(set="forget", item=item, pose=0, prompt=SimpleNamespace(text="Who?"))

    def complete(model: Any, processor: Any, prompts: list[Any], *args: Any) -> list[str]:
        return [str(number) for number in range(len(prompts))]

    monkeypatch.setattr(people, "complete", complete)
    store = kept.Kept(tmp_path / "answers.partial", {})
    plan = [asking(0), asking(1)]
    assert people._answers(None, None, plan, 5, 2, False, store) == ["0", "1"]


def test_an_interrupted_run_goes_on(
    data: Path, checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = people.complete, []
    monkeypatch.setattr(kept, "PORTION", 16)
    monkeypatch.setattr(scoring, "NEW_TOKENS", 3)

    def stops(*args: Any) -> list[str]:
        if len(asked) > 20:
            raise KeyboardInterrupt
        asked.extend(args[2])
        return real(*args)

    words = ["--data", str(data), "--limit", "1"]
    run = tmp_path / "run"
    monkeypatch.setattr(people, "complete", stops)
    assert evaluate(checkpoint, *words, "--output", str(run)) == 130
    assert [path.name for path in run.iterdir()] == ["answers.partial"]
    head = json.loads((run / "answers.partial").read_text(encoding="utf-8").split("\n")[0])
    assert head["quantize"] is None
    with (run / "answers.partial").open("a", encoding="utf-8") as file:
        file.write('\n{"cut": "o')
    before = len(asked)

    def counts(*args: Any) -> list[str]:
        asked.extend(args[2])
        return real(*args)

    monkeypatch.setattr(people, "complete", counts)
    assert evaluate(checkpoint, *words, "--output", str(run)) == 0
    texts = [(one.text, len(one.pictures)) for one in asked]
    assert evaluate(checkpoint, *words, "--output", str(tmp_path / "whole")) == 0
    whole = [(one.text, len(one.pictures)) for one in asked[len(texts) :]]
    assert 20 < before < len(texts) and sorted(texts) == sorted(whole)
    for name in ("metrics.json", "predictions.jsonl"):
        assert (run / name).read_text() == (tmp_path / "whole" / name).read_text()
    assert not (run / "answers.partial").exists()


def test_answers_of_another_run_are_dropped(tmp_path: Path) -> None:
    from unsee.evaluation.benchmarks.kept import Kept, state_of

    file = tmp_path / "run" / "answers.partial"
    Kept(file, {"seed": 0}).add({"a": "Oslo", "b": "李小龙"})
    Kept(file, {"seed": 0}).add({"c": "Lima"})
    assert Kept(file, {"seed": 0}).found == {"a": "Oslo", "b": "李小龙", "c": "Lima"}
    assert Kept(file, {"seed": 1}).found == {}
    Kept(file, {"seed": 1}).add({"a": "Rome"})
    assert Kept(file, {"seed": 0}).found == {} and Kept(file, {"seed": 1}).found == {"a": "Rome"}
    before = state_of(str(tmp_path))
    file.write_text("changed")
    assert state_of(str(tmp_path)) != before and state_of("owner/name") == []
