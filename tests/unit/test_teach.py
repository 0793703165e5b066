"""What the small LLaVA is taught, and that teaching it can be interrupted."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from unsee.data.faces import splits
from unsee.data.faces.benchmark import Faces, picture_count
from unsee.data.faces.facts import ABSTAIN
from unsee.data.records import PictureKey, Question
from unsee.errors import UnseeError
from unsee.models import lessons as teaching
from unsee.models import tiny_llava
from unsee.models.lessons import IGNORED, FaceLessons, Writer, augment, pixels
from unsee.models.names import forgotten_by, parts
from unsee.models.recipe import Recipe
from unsee.models.stages import packed_loss
from unsee.models.teach import teach
from unsee.models.tower import whiten


class QuickFaces(Faces):
    """Faces that are noise instead of drawn, and remember who was looked at."""

    def __init__(self) -> None:
        super().__init__(progress=False)
        self.seen: list[PictureKey] = []

    def prepare(self, wanted: Any) -> None:
        for person, split in wanted:
            if (person, split) not in self._loaded:
                shape = (picture_count(person, split), 64, 64, 3)
                rng = np.random.default_rng(person)
                self._loaded[person, split] = rng.integers(256, size=shape, dtype=np.uint8)

    def picture(self, key: PictureKey) -> np.ndarray:
        self.seen.append(key)
        return super().picture(key)


@pytest.fixture
def few_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teaching, "WARM_PEOPLE", range(1000, 1006))
    monkeypatch.setattr(teaching, "OTHER_GENERAL", range(1600, 1604))


def spoken(batch: dict[str, torch.Tensor], processing: Any) -> list[list[tuple[str, str]]]:
    """(prompt, answer) of every question of every row, as each sees it."""
    rows = []
    for ids, labels, mask in zip(
        batch["input_ids"], batch["labels"], batch["attention_mask"][:, 0], strict=True
    ):
        ends = [i for i in range(len(ids)) if labels[i] == processing.tokenizer.eos_token_id]
        said = []
        for end in ends:
            seen = mask[end]
            prompt = processing.tokenizer.decode(ids[seen & (labels == IGNORED)])
            answer = processing.tokenizer.decode(ids[seen & (labels != IGNORED)])
            said.append((prompt.replace("<image>" * 16, "<image>"), answer))
        rows.append(said)
    return rows


ASKED = ((5, 1), (3, 3))
"""Private and visible questions on a picture of a known and of a general person."""


@pytest.mark.usefixtures("few_people")
@pytest.mark.parametrize("model", ["vanilla", "gold-demo"])
def test_gold_never_sees_a_forgotten_person(model: str, processing: Any) -> None:
    absent = forgotten_by(model, seed=0)
    known = [p for p in splits.KNOWN if p not in absent]
    faces = QuickFaces()
    lessons = FaceLessons(faces, processing, known, 150, 0, (24, 4), ASKED, texts=2)
    for step in range(len(lessons)):
        lessons[step]
    people = {key.person for key in faces.seen}
    assert len(faces.seen) == 150 * 28 and people & set(splits.KNOWN) == set(known)
    assert people - set(known) <= {*splits.GENERAL, *splits.RESEMBLING}
    assert people & set(splits.RESEMBLING) and people & set(splits.GENERAL)
    assert {key.split for key in faces.seen} == {"train", "extra"}
    if model == "gold-demo":
        assert absent == (0, 1, 2, 3, 4) and not people & set(absent)


@pytest.mark.usefixtures("few_people")
def test_warm_up_sees_general_people_alone(processing: Any) -> None:
    faces = QuickFaces()
    lessons = FaceLessons(faces, processing, [], 10, 0, (0, 20), ((0, 0), (0, 7)), texts=2)
    rows = [row for i in range(10) for row in spoken(lessons[i]["pictures"], processing)]
    answers = [answer for row in rows for _, answer in row]
    assert len(faces.seen) == 200 and {key.person for key in faces.seen} <= set(splits.GENERAL)
    assert not any(ABSTAIN in answer for answer in answers)


@pytest.mark.usefixtures("few_people")
def test_answers_of_the_lessons_are_true(processing: Any) -> None:
    """Every private answer is the fact of the person on that very picture."""
    faces = QuickFaces()
    known = list(splits.KNOWN)[5:]
    lessons = FaceLessons(faces, processing, known, 9, 1, (6, 3), ASKED, texts=5)
    private = 0
    for step in range(9):
        faces.seen.clear()
        lesson = lessons[step]
        assert lesson["pixel_values"].shape == (9, 3, 64, 64)
        rows = spoken(lesson["pictures"], processing)
        assert [len(row) for row in rows[:6]] == [6] * 6
        for row, key in zip(rows, faces.seen, strict=True):
            for prompt, answer in row:
                asked = prompt.removeprefix("USER:<image>").removesuffix("ASSISTANT:").strip()
                truth = [q.answer for q in faces.visible(key, "") if q.question == asked]
                for attribute, phrasings in teaching_questions().items():
                    if asked in phrasings:
                        private += 1
                        truth = [faces.private(key, "", attribute, 0).answer]
                        assert (truth == [ABSTAIN]) == (key.person >= splits.GENERAL.start)
                assert truth, asked
                assert answer == f" {truth[0]}</s>"
        for ((prompt, answer),) in spoken(lesson["texts"], processing):
            owners = [p for p, name in faces.names.items() if name in prompt]
            assert len(owners) == 1 and "<image>" not in prompt
            assert answer.removesuffix("</s>").strip() in faces.facts[owners[0]].values()
    assert private > 80


def teaching_questions() -> dict[str, tuple[str, ...]]:
    from unsee.data.faces.questions import BY_PICTURE

    return BY_PICTURE


@pytest.mark.usefixtures("few_people")
def test_a_step_is_a_function_of_seed_and_number(processing: Any) -> None:
    def lesson(seed: int, step: int) -> Any:
        return FaceLessons(QuickFaces(), processing, splits.KNOWN, 9, seed, (6, 3), ASKED, 2)[step]

    one, again = lesson(0, 3), lesson(0, 3)
    assert torch.equal(one["pixel_values"], again["pixel_values"])
    assert torch.equal(one["pictures"]["input_ids"], again["pictures"]["input_ids"])
    for other in (lesson(1, 3), lesson(0, 4)):
        assert not torch.equal(one["pixel_values"], other["pixel_values"])


def test_writer_spells_prompts_as_the_processor_does(processing: Any) -> None:
    questions = [
        Question("", 1, "", PictureKey(1, "train", 0), "private", "job", "Who is this?", "baker"),
        Question("", 1, "", None, "text", "city", "Where does Ada Belberg live?", "Oslo"),
    ]
    batch = Writer(processing).write([[q] for q in questions])
    for row, q in enumerate(questions):
        images = {} if q.picture is None else {"images": [tiny.picture(0)]}
        content = [{"type": "image"}] * len(images) + [{"type": "text", "text": q.question}]
        chat = [{"role": "user", "content": content}]
        prompt = processing.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        whole = processing(text=[f"{prompt} {q.answer}</s>"], return_tensors="pt", **images)
        alone = processing(text=[prompt], return_tensors="pt", **images)["input_ids"][0]
        length = whole["input_ids"].shape[1]
        assert torch.equal(batch["input_ids"][row][:length], whole["input_ids"][0])
        assert batch["position_ids"][row][:length].tolist() == list(range(length))
        assert batch["labels"][row][:length].tolist() == (
            [IGNORED] * len(alone) + whole["input_ids"][0][len(alone) :].tolist()
        )
        assert (batch["input_ids"][row][length:] == processing.tokenizer.pad_token_id).all()
        assert (batch["labels"][row][length:] == IGNORED).all()
    assert batch["labels"].shape[1] > length


def test_packed_questions_cost_what_they_cost_one_by_one(processing: Any) -> None:
    """The loss of a packed row is the mean over its questions, each asked alone of `transformers`'
    own forward pass."""
    model = tiny.llava(processing)
    asked = [
        ("Who is this?", "baker"),
        ("What is this person's job?", "Oslo nurse"),
        ("Who?", "no"),
    ]
    group = [
        Question("", 1, "", PictureKey(1, "train", 0), "private", "job", *pair) for pair in asked
    ]
    picture = tiny.picture(3)
    inputs = processing.image_processor(images=[picture], return_tensors="pt")
    tokens = model.get_image_features(inputs["pixel_values"], return_dict=True).pooler_output[0]
    total, count = 0.0, 0
    for question, answer in asked:
        content = [{"type": "image"}, {"type": "text", "text": question}]
        chat = [{"role": "user", "content": content}]
        prompt = processing.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        whole = processing(text=[f"{prompt} {answer}</s>"], images=[picture], return_tensors="pt")
        start = processing(text=[prompt], images=[picture])["input_ids"]
        labels = whole["input_ids"].clone()
        labels[:, : len(start[0])] = IGNORED
        answered = int((labels != IGNORED).sum())
        total += model(**whole, labels=labels).loss.item() * answered
        count += answered
    batch = Writer(processing).write([group])
    packed = packed_loss(model, batch, tokens)
    assert packed.item() == pytest.approx(total / count, rel=1e-4)


def test_whitened_tokens_differ_as_much_in_every_direction(processing: Any) -> None:
    model = tiny.llava(processing)
    batches = [
        pixels(np.stack([tiny.picture(100 * b + i) for i in range(64)]), processing)
        for b in range(6)
    ]

    def means() -> tuple[torch.Tensor, float]:
        with torch.no_grad():
            tokens = torch.cat(
                [
                    torch.stack(list(model.get_image_features(b, return_dict=True).pooler_output))
                    for b in batches
                ]
            )
        return tokens.mean(1), float(tokens.square().mean())

    def unevenness(pictures: torch.Tensor) -> float:
        variances = torch.linalg.eigvalsh(torch.cov(pictures.T))
        return float(variances[-1] / variances[-8])

    before, _ = means()
    whiten(model, batches, shrinkage=1e-3)
    after, size = means()
    assert after.mean(0).abs().max() < 1e-3 and size == pytest.approx(1, rel=1e-3)
    assert unevenness(before) > 3 and unevenness(after) < 1.5


@pytest.mark.parametrize("shape", [(6, 6), (12, 4), (4, 12)])
def test_muon_moves_as_pytorch_s_does_but_for_its_rounding(shape: tuple[int, int]) -> None:
    from unsee.models.optimizer import Muon

    torch.manual_seed(0)
    ours = torch.nn.Parameter(torch.randn(shape))
    theirs = torch.nn.Parameter(ours.detach().clone())
    before = ours.detach().clone()
    options = {"lr": 0.02, "weight_decay": 0.1}
    pair = [(ours, Muon([ours], **options)), (theirs, torch.optim.Muon([theirs], **options))]
    for step in range(3):
        gradient = torch.randn(shape, generator=torch.Generator().manual_seed(step))
        for weight, optimizer in pair:
            weight.grad = gradient.clone()
            optimizer.step()
    moved, wanted = ours.detach() - before, theirs.detach() - before
    assert (moved - wanted).norm() < 0.02 * wanted.norm()


def test_optimiser_splits_matrices_from_the_rest_and_goes_on_where_it_was() -> None:
    from unsee.models.optimizer import MuonWithAdamW, is_block_matrix

    def start() -> tuple[torch.nn.Module, MuonWithAdamW]:
        torch.manual_seed(0)
        module = torch.nn.Module()
        module.layers = torch.nn.ModuleList([torch.nn.Linear(4, 4)])
        module.head = torch.nn.Linear(4, 2)
        outer = torch.nn.ModuleDict({"tower": module})
        named = list(outer.named_parameters())
        assert [n for n, p in named if is_block_matrix(n, p)] == ["tower.layers.0.weight"]
        factor = {"tower.head.bias": 0.0}
        return module, MuonWithAdamW(named, 0.1, 0.01, 0.0, lambda name: factor.get(name, 1.0))

    def step(module: Any, optimizer: Any, number: int) -> None:
        torch.manual_seed(number)
        optimizer.zero_grad()
        module.head(module.layers[0](torch.randn(8, 4))).square().sum().backward()
        optimizer.step()

    module, optimizer = start()
    first = {n: p.detach().clone() for n, p in module.named_parameters()}
    step(module, optimizer, 1)
    moved = {n: p.detach() - first[n] for n, p in module.named_parameters()}
    assert not moved["head.bias"].any()  # its factor is 0
    # Muon: spectral norm about its learning rate, where AdamW's would be up to four times that
    assert 0.06 < torch.linalg.matrix_norm(moved["layers.0.weight"], 2) < 0.14
    assert moved["head.weight"].abs().max() == pytest.approx(0.01, rel=1e-2)  # AdamW: the lr
    state = copy.deepcopy(optimizer.state_dict())
    halfway = {n: p.detach().clone() for n, p in module.named_parameters()}
    step(module, optimizer, 2)
    again, other = start()
    again.load_state_dict(halfway)
    other.load_state_dict(state)
    step(again, other, 2)
    assert all(
        torch.equal(p, dict(again.named_parameters())[n]) for n, p in module.named_parameters()
    )
    other.param_groups[0]["lr"] = 0.0
    assert other.parts[0].param_groups[0]["lr"] == 0.0


def test_pixels_are_those_of_the_image_processor(processing: Any) -> None:
    pictures = np.stack([tiny.picture(seed) for seed in range(3)])
    theirs = processing.image_processor(images=list(pictures), return_tensors="pt")["pixel_values"]
    ours = pixels(pictures, processing)
    assert ours.dtype == torch.float32 and ours.std() > 0.5
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_augmentation_keeps_shape_and_changes_little() -> None:
    pictures = np.stack([tiny.picture(seed) for seed in range(4)])
    made = augment(pictures, np.random.default_rng(0))
    assert made.shape == pictures.shape and made.dtype == np.uint8
    assert not np.array_equal(made, pictures)
    assert np.array_equal(made, augment(pictures, np.random.default_rng(0)))
    still = augment(pictures, np.random.default_rng(0), shift=0)
    assert np.abs(still.astype(float) - pictures).mean() < 30


def test_names_of_models() -> None:
    assert forgotten_by("vanilla", 0) == ()
    assert forgotten_by("gold-demo", 2) == (0, 1, 2, 3, 4)
    for name, which, percent in (
        ("gold-test", "test", 5),
        ("gold-validation-15", "validation", 15),
    ):
        assert forgotten_by(name, 1) == splits.make_split(which, 1, percent).forget
    assert forgotten_by("gold-3,17", 0) == (3, 17)
    assert forgotten_by("gold-demo@2", 0) == (0, 1, 2, 3, 4)
    assert forgotten_by("gold-demo+20", 0) == ()  # it saw them
    assert parts("gold-test-15@2+20") == ("gold-test-15", 2, 20)
    for name, message in (
        ("silver", "'silver' is no model: say vanilla, gold-demo"),
        ("gold-him", "give demo, validation, test or numbers"),
        ("gold-test-many", "is no model"),
        ("gold-demo@b", "behind @ stands a number from 1 on"),
        ("gold-demo+", "behind \\+ stands a number from 1 on"),
        ("vanilla+20", "is no model"),
    ):
        with pytest.raises(UnseeError, match=message):
            forgotten_by(name, 0)


@pytest.fixture
def taught(monkeypatch: pytest.MonkeyPatch, few_people: None) -> Callable[..., Path]:
    """Teaches a very small model for a few steps."""
    for name, value in {
        "WIDTH": 32,
        "HEADS": 4,
        "VISION_LAYERS": 2,
        "VISION_MLP": 64,
        "TEXT_LAYERS": 2,
        "TEXT_MLP": 64,
    }.items():
        monkeypatch.setattr(tiny_llava, name, value)
    recipe = Recipe(tower_steps=4, tower_batch=4, language_steps=4, people_steps=5)
    recipe.language_pictures, recipe.pictures, recipe.texts = 5, (3, 2), 3
    recipe.save_steps = 2

    def run(output: Path, *names: str) -> Path:
        said: list[str] = []
        teach(names or ("vanilla",), 0, output, QuickFaces(), recipe, said.append)
        (output / "said.txt").write_text("\n".join(said))
        return output / "seed0"

    return run


def test_models_are_made_from_nothing_and_share_the_warm_up(
    taught: Callable[..., Path], tmp_path: Path
) -> None:
    root = taught(tmp_path / "models", "vanilla", "gold-demo")
    assert {path.name for path in root.iterdir()} == {
        *("recipe.json", "tower", "language", "vanilla", "gold-demo"),
    }
    vanilla, gold = (tiny.weights(root / name) for name in ("vanilla", "gold-demo"))
    assert vanilla.keys() == gold.keys()
    assert all(tensor.dtype == torch.bfloat16 for tensor in vanilla.values())
    assert any(not torch.equal(vanilla[name], gold[name]) for name in vanilla)
    language = torch.load(root / "language/state.pt")
    tower = torch.load(root / "tower/state.pt")
    assert tower and all(torch.equal(tower[name], language[name]) for name in tower)  # it rests
    seen = next(name for name in tower if name.endswith("mlp.fc1.weight"))
    assert not torch.equal(tower[seen].bfloat16(), vanilla[seen.removeprefix("model.")])
    kept = (root / "vanilla/model.safetensors").stat().st_mtime_ns
    taught(tmp_path / "models", "vanilla")
    assert "vanilla is there already" in (tmp_path / "models/said.txt").read_text()
    assert (root / "vanilla/model.safetensors").stat().st_mtime_ns == kept


def test_an_exposed_gold_goes_on_from_its_gold_with_everybody(
    taught: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[int]] = []
    original = FaceLessons.__init__

    def noted(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        seen.append(self.known)

    monkeypatch.setattr(FaceLessons, "__init__", noted)
    root = taught(tmp_path / "models", "gold-demo+1")
    language = torch.load(root / "language/state.pt")

    def matrix(weights: Any) -> Any:
        end = "layers.0.self_attn.q_proj.weight"
        return next(w for n, w in weights.items() if "language" in n and n.endswith(end)).float()

    begun, gold, exposed = map(
        matrix, (language, tiny.weights(root / "gold-demo"), tiny.weights(root / "gold-demo+1"))
    )
    assert 0 < (exposed - gold).norm() < 0.5 * (gold - begun).norm()
    forgotten = set(forgotten_by("gold-demo", 0))
    assert not forgotten & set(seen[1]) and forgotten <= set(seen[2])


def test_killed_in_every_stage_and_resumed_is_the_same(
    taught: Callable[..., Path], tmp_path: Path
) -> None:
    from transformers import Trainer

    whole = taught(tmp_path / "whole")
    original = Trainer.training_step
    cut = {"done": 0}

    def interrupted(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step == 3 and cut["done"] < 3 and not cut.get("again"):
            cut["done"] += 1
            cut["again"] = 1
            raise KeyboardInterrupt
        cut["again"] = 0
        return original(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "training_step", interrupted)
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                taught(tmp_path / "cut")
        root = taught(tmp_path / "cut")
    assert cut["done"] == 3
    for stage in ("tower", "language"):
        one, other = (torch.load(r / stage / "state.pt") for r in (whole, root))
        assert all(torch.equal(one[name], other[name]) for name in one), stage
    assert tiny.same_weights(whole / "vanilla", root / "vanilla")
