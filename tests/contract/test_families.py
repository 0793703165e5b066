"""What must hold for every family of models, on tiny random ones with processors of their own.

Two methods on every family in `make test`; every method on every family in `make test-full`, which
may be spread over machines or days: `pytest -k gemma3 tests/contract/test_families.py`.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from cases import EVERYWHERE, trains

import families
import tiny
from unsee import checkpoints
from unsee.anatomy import anatomy_of
from unsee.anatomy import families as known_families
from unsee.data.collate import PictureCollator, QuestionCollator
from unsee.data.prompts import encode, prompt_of
from unsee.errors import UnseeError
from unsee.evaluation import frozen
from unsee.methods.outputs import model_inputs
from unsee.methods.registry import Method, list_methods
from unsee.methods.run import unlearn

OPTIONS = {"max_steps": 4, "save_steps": 2, "per_device_train_batch_size": 2}
OPTIONS |= {"learning_rate": 1e-2, "warmup_steps": 0}
SLOW = pytest.mark.slow
NAMES = list(families.FAMILIES)
each_family = pytest.mark.parametrize("family", NAMES)
pytestmark = pytest.mark.usefixtures("compare_in_process")


def each_method(*, now: Collection[str] = NAMES, resumes: bool = False) -> Any:
    """Parametrises `method` and `family`; in `make test` the methods of `EVERYWHERE` (of those that
    resume, VKD) on the families `now`."""
    methods = EVERYWHERE[:1] if resumes else EVERYWHERE
    found = [
        pytest.param(m, f, id=f"{f}-{m.name}", marks=() if m.name in methods and f in now else SLOW)
        for f in NAMES
        for m in list_methods()
        if trains(m) or not resumes
    ]
    return pytest.mark.parametrize(("method", "family"), found)


@pytest.fixture(autouse=True, scope="module")
def _nothing_old_is_looked_at() -> Iterator[None]:
    """Each training ends with a collection of garbage, most of its time spent on what was there
    before."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def made() -> Callable[[str], tuple[Any, Any]]:
    """A family's model and processor; not to be changed."""
    built: dict[str, tuple[Any, Any]] = {}

    def get(family: str) -> tuple[Any, Any]:
        if family not in built:
            built[family] = families.build(family)
        return built[family]

    return get


@pytest.fixture(scope="module")
def stored(made: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A family's checkpoint on disk; not to be changed."""
    root = tmp_path_factory.mktemp("families")

    def get(family: str) -> Path:
        if not (root / family).exists():
            model, processor = families.build(family)
            tiny.save(root / family, model, processor)
        return root / family

    return get


def sides() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    jobs = ("baker", "pilot", "nurse", "lawyer")
    forget, retain = (tiny.asked(tiny.examples(2, 2, first), *jobs) for first in (0, 10))
    return forget, retain


@pytest.fixture(scope="module")
def run(stored: Any) -> Callable[..., dict[str, Any]]:
    def start(method: Method, family: str, output: Path, **options: Any) -> dict[str, Any]:
        forget, retain = sides()
        words = [{**example, "image": None} for example in retain]
        chosen = {**OPTIONS, **options}
        source = str(stored(family))
        return unlearn(source, forget, retain, output, method.name, chosen, texts=words)

    return start


@pytest.fixture(scope="module")
def whole(run: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Method, str], Path]:
    """The result of an uninterrupted run, made once for each method and family."""
    results: dict[tuple[str, str], Path] = {}

    def result(method: Method, family: str) -> Path:
        key = (method.name, family)
        if key not in results:
            results[key] = tmp_path_factory.mktemp("whole") / "out"
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(frozen, "check", frozen.compare)
                run(method, family, results[key])
        return results[key]

    return result


def test_every_known_family_is_tested(made: Any) -> None:
    tested = {made(name)[0].config.model_type for name in NAMES}
    assert tested == set(known_families())


@each_family
def test_features_have_the_promised_shapes(family: str, made: Any) -> None:
    model, processor = made(family)
    anatomy = anatomy_of(model)
    with torch.no_grad():
        seen = anatomy.seeing(PictureCollator(processor)(tiny.examples(1, 3)))
    for features in (seen.vision, seen.projector, *seen.blocks):
        assert features.ndim == 3 and len(features) == 3
        assert not torch.equal(features[0], features[1])
    assert seen.projector.shape[-1] % model.config.get_text_config().hidden_size == 0
    assert max(anatomy.read_blocks) < len(seen.blocks)
    twin = anatomy.seeing.frozen_copy()
    assert not [n for n, _ in twin.core.named_parameters() if "language_model" in n]
    with torch.no_grad():
        again = twin(PictureCollator(processor)(tiny.examples(1, 3)[:2]))
    assert torch.allclose(again.projector, seen.projector[:2], atol=1e-6)


@each_family
def test_what_is_distilled_is_what_the_language_model_reads(family: str, made: Any) -> None:
    """The tokens of the picture on their way into W, in a whole forward pass, are those that V and
    P give when they are run alone."""
    model, processor = made(family)
    anatomy = anatomy_of(model)
    batch = QuestionCollator(processor)(sides()[0][:2])
    language = model.get_submodule(anatomy.family.language[0])
    read: dict[str, Any] = {}
    handle = language.register_forward_pre_hook(
        lambda module, args, kwargs: read.update(kwargs), with_kwargs=True
    )
    try:
        with torch.no_grad():
            model(**model_inputs(batch))
            seen = anatomy.seeing(batch).projector
    finally:
        handle.remove()
    assert torch.equal(families.visual_tokens(model, batch, read), seen)


@each_family
def test_pictures_alone_and_with_questions_are_seen_alike(family: str, made: Any) -> None:
    model, processor = made(family)
    seeing = anatomy_of(model).seeing
    asked = [{**example, "question": "Who is this?"} for example in sides()[0]]
    with torch.no_grad():
        alone = seeing(PictureCollator(processor)(asked))
        beside = seeing(QuestionCollator(processor)(asked))
    assert torch.equal(alone.projector, beside.projector)
    assert torch.equal(alone.vision, beside.vision)


@each_family
def test_only_the_answer_is_learnt(family: str, made: Any) -> None:
    _, processor = made(family)
    batch = QuestionCollator(processor)(sides()[0])
    for labels, ids, answer in zip(
        batch["labels"], batch["input_ids"], ("baker", "pilot", "nurse", "lawyer"), strict=True
    ):
        learnt = labels[labels != -100]
        assert processor.tokenizer.decode(learnt) == f" {answer}</s>"
        assert torch.equal(ids[labels != -100], learnt)


@each_family
def test_answers_do_not_look_ahead(family: str, made: Any) -> None:
    """What is said of a prompt does not hang on the answer behind it."""
    model, processor = made(family)
    picture = [[tiny.picture(0)]]
    prompt = [prompt_of(processor, "Who is this?", picture=True)]
    logits = []
    with torch.no_grad():
        for answer in (" baker</s>", " pilot</s>"):
            batch = encode(processor, prompt, picture, [answer], side="right")
            length = len(processor.tokenizer(answer, add_special_tokens=False).input_ids)
            logits.append(model(**batch).logits[:, : -length - 1])
    assert torch.equal(*logits)


@each_family
def test_pictures_of_several_sizes_become_one(family: str, made: Any, tmp_path: Path) -> None:
    from unsee.methods.registry import get_method

    model, processor = families.build(family)
    trainer_class, config_class = get_method("vkd").classes()
    sizes = [(64, 64), (80, 48), (40, 72), (64, 64)]
    mixed = [{"image": tiny.picture(i, 96)[:high, :wide]} for i, (wide, high) in enumerate(sizes)]
    args = config_class(output_dir=str(tmp_path), max_steps=1, per_device_train_batch_size=4)
    trainer = trainer_class(model, args, mixed, mixed[::-1], processor)
    assert trainer.train().global_step == 1


@each_method()
def test_frozen_parts_stay_to_the_bit_and_the_result_is_a_plain_checkpoint(
    method: Method, family: str, whole: Any, stored: Any
) -> None:
    from transformers import AutoModelForImageTextToText

    output, original = whole(method, family), stored(family)
    metrics = json.loads((output / "metrics.json").read_text())
    before, after = tiny.weights(original), tiny.weights(output)
    assert before.keys() == after.keys()
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed and all(before[name].dtype == after[name].dtype for name in before)
    if not method.touches_language:
        assert metrics["text_logits_identical"]
        assert not [name for name in changed if "language_model" in name or "text_model" in name]
    loaded, found = AutoModelForImageTextToText.from_pretrained(output, output_loading_info=True)
    assert not any(found.values())
    ours, processor = checkpoints.load(str(output))
    if getattr(processor, "source", None):  # one that can't be built here
        for name in families.FILES:
            assert (original / name).read_bytes() == (output / name).read_bytes()
    batch = model_inputs(QuestionCollator(processor)(sides()[0]))
    with torch.no_grad():
        assert torch.equal(loaded(**batch).logits, ours(**batch).logits)


@each_method(now=("llava_next", "qwen3_vl", "mllama", "instructblip"), resumes=True)
def test_killed_and_resumed_is_the_same_as_uninterrupted(
    method: Method, family: str, run: Any, whole: Any, tmp_path: Path
) -> None:
    trainer_class, _ = method.classes()
    original = trainer_class.training_step

    def cut(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step == 3:
            raise KeyboardInterrupt
        return original(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer_class, "training_step", cut)
        with pytest.raises(KeyboardInterrupt):
            run(method, family, tmp_path / "out")
    assert (tmp_path / "out.unfinished/checkpoint-2").exists()
    assert run(method, family, tmp_path / "out")["steps"] == 4
    assert tiny.same_weights(tmp_path / "out", whole(method, family))


def test_pictures_of_several_sizes_in_one_batch_are_refused(made: Any) -> None:
    model, processor = made("llava_next")
    mixed = [{"image": tiny.picture(0)}, {"image": tiny.picture(1)[:24]}]
    batch = PictureCollator(processor)(mixed)
    with pytest.raises(UnseeError, match=r"become \d+ to \d+ visual tokens: bring them"):
        anatomy_of(model).seeing(batch)


def test_encoder_decoder_is_unlearnt_by_its_features_and_refused_for_answers(
    tmp_path: Path,
) -> None:
    model, processor = families.blip_2_t5()
    source = str(tiny.save(tmp_path / "model", model, processor))
    forget, retain = sides()
    metrics = unlearn(source, forget, retain, tmp_path / "out", "vkd", OPTIONS)
    assert metrics["text_logits_identical"]
    with pytest.raises(UnseeError, match="answers with an encoder-decoder"):
        unlearn(source, forget, retain, tmp_path / "other", "graddiff", OPTIONS)
