"""MIP-Editor (arXiv 2511.06793), a reconstruction: influential hidden units are found, emptied and
edited.

With the activations a of all MLPs of a part scaled by s = 1/m, 2/m … 1 and l the log-likelihood of
the answer, a hidden unit's influence is

    in W  |sum over tokens of a mean_s dl/da(s)|          (integrated gradients)
    in V   sum over tokens of a^2 mean_s (dl/da(s))^2     (integrated Fisher information)

The `units` of each layer with the largest mean influence on the forget set make up the path. They
are emptied (the weights that read from them are set to 0; were those that write to them 0 as well,
no gradient would ever reach either), and then the weights that read from them and write to them are
trained, nothing else, as RMU does:

    L = w_f ||h(x_f) - steering mean ||h_original|| u||^2 + w_r ||h(x_r) - h_original(x_r)||^2

Stated are the two attributions, the path, its emptying and the adaptive target; the order in which
the path is found (layer by layer, given what was found before) is not followed: layers are scaled
and scored together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from unsee import distributed
from unsee.anatomy.families import LANGUAGE, VISION
from unsee.errors import check_counts
from unsee.methods import outputs, pruning
from unsee.methods.config import TRAINABLE
from unsee.methods.registry import Method, register
from unsee.methods.rmu import RMUConfig, RMUTrainer


@dataclass
class MIPEditorConfig(RMUConfig):
    """Options of MIP-Editor."""

    space: ClassVar[Mapping[str, Any]] = {
        "learning_rate": (1e-5, 1e-2),
        "max_steps": [100, 200, 400],
        "units": [3, 5, 10],
        "steering": (0.5, 8.0),
        "retain_weight": (0.3, 100.0),
    }

    trainable: str = field(default="all", metadata={"help": "parts that are edited"})
    units: int = field(default=5, metadata={"help": "hidden units of each layer that are edited"})
    integration_steps: int = field(default=8, metadata={"help": "m, points of the integral"})
    statistics_pictures: int = field(
        default=32, metadata={"help": "forget examples that influence is measured on"}
    )
    steering: float = field(
        default=2.0, metadata={"help": "length of the target over that of the original's states"}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "units", "integration_steps", "statistics_pictures")


@contextmanager
def scaled(layers: Mapping[str, torch.nn.Linear], scale: float) -> Iterator[dict[str, Any]]:
    """Within it the layers read `scale` times their hidden units; what they read is collected, with
    its graph: layer -> [..., units]."""
    read: dict[str, Any] = {}

    def hook_of(name: str) -> Any:
        def hook(module: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            read[name] = scale * inputs[0]
            if not read[name].requires_grad:
                read[name].requires_grad_(True)
            return (read[name],)

        return hook

    with ExitStack() as stack:
        for name, layer in layers.items():
            stack.callback(layer.register_forward_pre_hook(hook_of(name)).remove)
        yield read


def influence(
    log_likelihood: Any, layers: Mapping[str, torch.nn.Linear], steps: int, squared: bool
) -> dict[str, torch.Tensor]:
    """Influence of each hidden unit on one example, see the module's text.

    Args:
        log_likelihood: runs the model on the example and gives the scalar l.
        layers: layers that read the units.
        steps: points of the integral.
        squared: integrated Fisher information rather than integrated gradients.

    Returns:
        layer -> [units], fp64, at least 0.
    """
    integral: dict[str, torch.Tensor] = {}
    for step in range(1, steps + 1):
        with torch.enable_grad(), scaled(layers, step / steps) as read:
            value = log_likelihood()
            gradients = torch.autograd.grad(value, list(read.values()), allow_unused=True)
        for name, gradient in zip(list(read), gradients, strict=True):
            if gradient is None:  # a head of V that is run and not read
                del read[name]
                continue
            g = gradient.double().square() if squared else gradient.double()
            integral[name] = integral.get(name, 0) + g / steps
    found = {}
    for name, activation in read.items():  # of the last step, whose scale is 1
        a = activation.detach().double()
        each = (a.square() if squared else a) * integral[name]
        found[name] = each.flatten(0, -2).sum(0).abs()
    return found


class MIPEditorTrainer(RMUTrainer):
    """Examples need `image`, `question` and `answer`."""

    supports = ("all", "language", "vision")
    adapters = False
    masked_sides = ("forget", "retain")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.units = distributed.agreed_tensors(self._path())
        self.confine(self._mask())
        model = self.anatomy.model
        pruning.prune({name: model.get_submodule(name) for name in self.units}, self.units)

    def _layers(self, part: str, args: MIPEditorConfig) -> dict[str, torch.nn.Linear]:
        """Layers that read hidden units, up to where W's hidden states are looked at."""
        layers = pruning.hidden_layers(self.anatomy, part)
        if part == LANGUAGE:
            last = self.layer(args)
            layers = {n: m for n, m in layers.items() if (pruning.block_of(n) or 0) < last}
        return layers

    def select(self, args: MIPEditorConfig, trained: list[str]) -> list[str]:
        """The MLPs of the parts: what writes to hidden units and what reads from them."""
        self._parts = [p for p in (VISION, LANGUAGE) if p in TRAINABLE[args.trainable]]
        reading = {n for p in self._parts for n in self._layers(p, args)}
        mlps = {name.rpartition(".")[0] for name in reading}
        model = self.anatomy.model
        units = {name.rpartition(".")[0]: model.get_submodule(name).in_features for name in reading}

        def of_mlp(name: str) -> bool:
            layer = name.rpartition(".")[0]
            mlp, module = layer.rpartition(".")[0], model.get_submodule(layer)
            if mlp not in mlps or not isinstance(module, torch.nn.Linear):
                return False
            return layer in reading or module.out_features == units[mlp]

        weights = [name for name in trained if of_mlp(name)]
        return [n for n in weights if not (n.endswith(".bias") and n.rpartition(".")[0] in reading)]

    def _path(self) -> dict[str, torch.Tensor]:
        model, args = self.anatomy.model, self.args
        model.eval()
        total: dict[str, torch.Tensor] = {}
        for part in self._parts:
            layers = self._layers(part, args)
            for batch in self.batches(self.train_dataset.forget, args.statistics_pictures, size=1):

                def log_likelihood(batch: Any = batch) -> torch.Tensor:
                    logits = self.logits_of(model, batch)
                    return outputs.answer_log_likelihood(logits, batch["labels"]).sum()

                found = influence(log_likelihood, layers, args.integration_steps, part == VISION)
                for name, values in found.items():
                    total[name] = total.get(name, 0) + values
        return {
            name: torch.zeros_like(values, dtype=torch.bool).index_fill(
                0, values.topk(min(args.units, len(values))).indices, True
            )
            for name, values in total.items()
        }

    def _mask(self) -> dict[str, torch.Tensor]:
        """Weights of the path: columns of what reads its units, rows of what writes to them."""
        of_mlp = {name.rpartition(".")[0]: name for name in self.units}
        masks = {}
        for name in self.trained:
            layer = name.rpartition(".")[0]
            units = self.units[of_mlp[layer.rpartition(".")[0]]]
            shape = self.anatomy.model.get_parameter(name).shape
            if layer in self.units:
                masks[name] = units.expand(shape).clone()
            else:
                masks[name] = units.view(-1, *[1] * (len(shape) - 1)).expand(shape).clone()
        return masks

    def forget_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        found, original = self.hidden(model, batch), self.original_hidden(batch)
        length = self.args.steering * self.overall(original.norm(dim=-1))
        return (found - length * self.direction.to(found.device)).square().mean()


register(
    Method(
        name="mip_editor",
        source="MIP-Editor, arXiv 2511.06793",
        fidelity="reconstruction",
        trains="all",
        touches_language=True,
        runs_language=True,
        summary="empties influential hidden units of V and W, then misdirects through them alone",
        trainer="unsee.methods.mip_editor.MIPEditorTrainer",
        config="unsee.methods.mip_editor.MIPEditorConfig",
    )
)
