"""What a family's entry says, and the register of all families, keyed by `config.model_type`.

The entries stand in files of their own (`llava.py`, `qwen.py`, …). To add one, call
`register(Family(...))`; where a family sees in a way of its own, write a short function for `see`,
`read`, `project` or `layers` and name it in the entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

VISION, PROJECTOR, LANGUAGE = "vision", "projector", "language"
PARTS = (VISION, PROJECTOR, LANGUAGE)


def image_features(core: Any, inputs: Mapping[str, Any]) -> Any:
    """What most families offer: V and P in one call, hidden states included."""
    return core.get_image_features(**inputs, output_hidden_states=True, return_dict=True)


def last_hidden(core: Any, output: Any) -> Any:
    """The vision encoder's own output is what the projector reads."""
    return output.last_hidden_state


def pooled(core: Any, output: Any) -> Any:
    """The tokens that enter W, as `get_image_features` gives them."""
    return output.pooler_output


def block_outputs(core: Any, output: Any) -> tuple[Any, ...]:
    """The output of every vision block; the first hidden state is that of the embeddings."""
    return tuple(output.hidden_states[1:])


def last_block(core: Any) -> tuple[int, ...]:
    """The projector reads the last block alone."""
    return (core.config.vision_config.num_hidden_layers - 1,)


def block_number(core: Any, name: str) -> int | None:
    """Number of the block that a parameter or module is in; None outside blocks."""
    numbers = [int(part) for part in name.split(".") if part.isdigit()]
    return numbers[0] if numbers else None


@dataclass(frozen=True)
class Family:
    """Where the parts of a family's models are.

    Attributes:
        model_type: `config.model_type` of the whole model.
        core: module that holds vision encoder and projector; empty: the model itself.
        vision: prefixes of module names that make up the vision encoder.
        projector: prefixes of the projector; a prefix here wins over a shorter one elsewhere.
        language: prefixes of the language model and its head.
        read: (core, output of `see`) -> features of exactly the vision layer that the projector
            reads, without the tokens that it drops; [..., D], the pictures one after the other.
        layers: (core) -> index of each vision block whose output is read, counted from 0.
        inputs: keys of a processor's batch that V and P take.
        see: (core, those inputs) -> output; runs V and P and nothing else.
        project: (core, output) -> the tokens that W reads: [pictures, T, D], or a list of [T, D].
        blocks: (core, output) -> output of every vision block, [..., D] each.
        mlp_out: last names of the linear layers that read the hidden units of V's MLPs.
        text_mlp_out: the same in W.
        block: (core, name of a parameter of V) -> number of its block, counted as in `layers`.
        by_size: whether the number of visual tokens depends on a picture's size; then pictures are
            brought to one size for unlearning.
        speaker: module that answers to words alone; empty: the model itself.
        title: name for people.
        reads: which vision layer it is that the projector reads, in words.
        note: what there is to know about it.
        shares_vision: whether a picture's projected tokens, put in place of its image tokens'
            embeddings, are all that W learns of it, and W keeps an ordinary cache: then scoring
            makes them once a picture (`unsee.evaluation.shared`).
    """

    model_type: str
    core: str
    vision: tuple[str, ...]
    projector: tuple[str, ...]
    language: tuple[str, ...]
    read: Callable[[Any, Any], Any] = last_hidden
    layers: Callable[[Any], tuple[int, ...]] = last_block
    inputs: tuple[str, ...] = ("pixel_values",)
    mlp_out: tuple[str, ...] = ("fc2",)
    text_mlp_out: tuple[str, ...] = ("down_proj",)
    see: Callable[[Any, Mapping[str, Any]], Any] = image_features
    project: Callable[[Any, Any], Any] = pooled
    blocks: Callable[[Any, Any], tuple[Any, ...]] = block_outputs
    block: Callable[[Any, str], int | None] = block_number
    by_size: bool = False
    speaker: str = ""
    title: str = ""
    reads: str = "the tower's output"
    note: str = ""
    shares_vision: bool = False

    def full(self, name: str) -> str:
        """The full name of what is called `name` within the core."""
        return f"{self.core}.{name}" if self.core else name

    def part_of(self, name: str) -> str | None:
        """The part that a parameter or module belongs to, by the longest prefix; None: to none."""
        fits = [
            (len(prefix), part)
            for part in PARTS
            for prefix in getattr(self, part)
            if name == prefix or name.startswith(prefix + ".")
        ]
        return max(fits)[1] if fits else None


_FAMILIES: dict[str, Family] = {}


def register(family: Family) -> Family:
    """Makes a family known; an entry of the same `model_type` is replaced."""
    _FAMILIES[family.model_type] = family
    return family


def families() -> dict[str, Family]:
    """model_type -> family, in the order of registration."""
    return dict(_FAMILIES)
