"""Which parameter belongs to which part, and what V and P alone make of a picture."""

from __future__ import annotations

import copy
from importlib import import_module
from typing import Any

import pytest
import torch

import tiny
from unsee.anatomy import Family, anatomy_of, families, register
from unsee.anatomy import families as known_families
from unsee.anatomy.families import LANGUAGE, PARTS, PROJECTOR, VISION
from unsee.data.collate import PictureCollator
from unsee.errors import UnseeError

TABLE = import_module("unsee.anatomy.families")
each_family = pytest.mark.parametrize("family", list(tiny.FAMILIES))


@pytest.fixture
def batch(processing: Any) -> dict[str, Any]:
    return PictureCollator(processing)(tiny.examples(1, 3))


@each_family
def test_every_parameter_belongs_to_one_part(family: str, processing: Any) -> None:
    model = tiny.FAMILIES[family](processing)
    anatomy = anatomy_of(model)
    parts = {part: {name for name, _ in anatomy.parameters(part)} for part in PARTS}
    assert all(parts.values())
    assert sum(map(len, parts.values())) == len(dict(model.named_parameters()))
    assert set.union(*parts.values()) == {name for name, _ in anatomy.parameters()}
    assert all(anatomy.part_of(name) == part for part, names in parts.items() for name in names)
    assert {name.split(".")[1] for name in parts[VISION]} == {"vision_tower"}
    assert {name.split(".")[1] for name in parts[PROJECTOR]} == {"multi_modal_projector"}
    assert any("embed_tokens" in name for name in parts[LANGUAGE])


def test_language_tensors_hold_the_head_and_nothing_that_sees(processing: Any) -> None:
    model = tiny.llava(processing)
    tensors = anatomy_of(model).language_tensors()
    rest = {n for n in model.state_dict() if "vision_tower" in n or "multi_modal_projector" in n}
    assert "lm_head.weight" in tensors and "model.language_model.norm.weight" in tensors
    assert rest and tensors.keys() == model.state_dict().keys() - rest


@pytest.mark.parametrize(
    ("family", "layer", "block"), [("llava", -1, 1), ("llava-layer-2", -2, 0), ("llava", 1, 0)]
)
def test_features_are_those_of_the_layer_that_is_read(
    family: str, layer: int, block: int, processing: Any, batch: dict[str, Any]
) -> None:
    model = tiny.llava(processing, layer=layer)
    anatomy = anatomy_of(model)
    with torch.no_grad():
        seen = anatomy.seeing(batch)
        tower = model.model.vision_tower(batch["pixel_values"], output_hidden_states=True)
        expected = tower.hidden_states[layer][:, 1:]
        projected = model.model.multi_modal_projector(expected)
    assert seen.vision.shape == (3, 16, 32) and seen.projector.shape == (3, 16, 32)
    assert torch.equal(seen.vision, expected)
    assert torch.equal(seen.projector, projected)
    assert anatomy.read_blocks == (block,)


def test_several_layers_side_by_side_with_the_class_token(
    processing: Any, batch: dict[str, Any]
) -> None:
    model = tiny.llava(processing)
    model.config.vision_feature_layer = [-2, -1]
    model.config.vision_feature_select_strategy = "full"
    model.model.multi_modal_projector.linear_1 = torch.nn.Linear(64, 32)
    anatomy = anatomy_of(model)
    with torch.no_grad():
        seen = anatomy.seeing(batch)
        hidden = model.model.vision_tower(
            batch["pixel_values"], output_hidden_states=True
        ).hidden_states
    assert torch.equal(seen.vision, torch.cat([hidden[-2], hidden[-1]], dim=-1))
    assert anatomy.read_blocks == (0, 1)


def test_unread_is_what_lies_behind_the_layer_that_is_read(
    processing: Any, batch: dict[str, Any]
) -> None:
    for layer, behind in ((-1, []), (-2, ["encoder.layers.1."])):
        model = tiny.llava(processing, layer=layer)
        model.model.vision_tower.requires_grad_(False)
        tower = [n for n, _ in anatomy_of(model).parameters(VISION)]
        expected = [n for n in tower if any(b in n for b in ["post_layernorm", *behind])]
        assert len(expected) == 2 + 16 * len(behind)
        assert anatomy_of(model).unread(batch) == expected
        wanted = {p.requires_grad for p in model.model.vision_tower.parameters()}
        assert wanted == {False} and all(p.grad is None for p in model.parameters())


@each_family
def test_frozen_copy_sees_the_same_and_keeps_it(
    family: str, processing: Any, batch: dict[str, Any]
) -> None:
    model = tiny.FAMILIES[family](processing).train()
    seeing = anatomy_of(model).seeing
    twin = seeing.frozen_copy()
    before, same = seeing(batch), twin(batch)
    assert torch.equal(same.vision, before.vision)
    assert torch.equal(same.projector, before.projector)
    assert not same.projector.requires_grad and before.projector.requires_grad

    names = [name for name, _ in twin.core.named_parameters()]
    assert names and not [name for name in names if "language" in name]
    assert not any(p.requires_grad for p in twin.core.parameters())
    assert not any(module.training for module in twin.core.modules())
    assert model.training and model.model.language_model is not None

    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    assert torch.equal(twin(batch).projector, same.projector)
    assert not torch.equal(seeing(batch).projector, same.projector)


def test_language_model_is_not_needed(processing: Any, batch: dict[str, Any]) -> None:
    model = tiny.llava(processing)
    expected = anatomy_of(model).seeing(batch).projector
    model.model.language_model.forward = None
    assert torch.equal(anatomy_of(model).seeing(batch).projector, expected)


def test_text_only_model_has_no_vision_encoder() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=8,
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=1,
        )
    )
    with pytest.raises(UnseeError, match=r"this llama model has no vision encoder.*known: llava"):
        anatomy_of(model)


def test_unknown_family_says_what_is_known_and_how_to_register(processing: Any) -> None:
    model = tiny.llava(processing)
    model.config = copy.deepcopy(model.config)
    model.config.model_type = "nova"
    with pytest.raises(UnseeError) as told:
        anatomy_of(model)
    message = str(told.value)
    assert "nova is not among the known model families" in message
    assert all(name in message for name in families())
    assert "unsee.anatomy.register(Family(" in message and "CONTRIBUTING.md" in message


def family_like_llava(**changes: Any) -> Family:
    llava = known_families()["llava"]
    return Family(**{**vars(llava), **changes})


def test_a_registered_family_is_used(monkeypatch: pytest.MonkeyPatch, processing: Any) -> None:
    monkeypatch.setattr(TABLE, "_FAMILIES", families())
    model = tiny.llava(processing)
    model.config = copy.deepcopy(model.config)
    model.config.model_type = "nova"
    register(family_like_llava(model_type="nova"))
    assert anatomy_of(model).family.model_type == "nova"
    assert "nova" in families()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"projector": ("model.connector",)}, r"multi_modal_projector\S* .*belongs to no part"),
        ({"language": ("model.language_model",), "projector": ("lm_head",)}, "no part"),
        (
            {"projector": ("model.nothing",), "vision": ("model",)},
            "has no projector parameters under model.nothing",
        ),
    ],
)
def test_entry_that_does_not_fit_is_refused(
    changes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch, processing: Any
) -> None:
    monkeypatch.setattr(TABLE, "_FAMILIES", families())
    register(family_like_llava(**changes))
    with pytest.raises(UnseeError, match=message):
        anatomy_of(tiny.llava(processing))


def test_projector_inside_the_vision_encoder_wins(
    monkeypatch: pytest.MonkeyPatch, processing: Any
) -> None:
    monkeypatch.setattr(TABLE, "_FAMILIES", families())
    inner = "model.vision_tower.post_layernorm"
    register(family_like_llava(projector=("model.multi_modal_projector", inner)))
    anatomy = anatomy_of(tiny.llava(processing))
    assert anatomy.part_of(f"{inner}.weight") == PROJECTOR
    assert anatomy.part_of("model.vision_tower.embeddings.class_embedding") == VISION
