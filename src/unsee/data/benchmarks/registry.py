"""Published benchmarks by name. A benchmark registers itself when its file is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from unsee.errors import UnseeError
from unsee.registry import Registry

EVALUATION, TRAINING = "evaluation", "training"


@dataclass(frozen=True)
class Config:
    """One table of a benchmark, as the hub calls it.

    Attributes:
        name: such as `forget_5`.
        columns: what it may serve for (`EVALUATION`, `TRAINING`) -> the columns that it must have
            for that; all configs of all benchmarks have the one split `train`.
        note: what one has to know of it.
    """

    name: str
    columns: Mapping[str, tuple[str, ...]]
    note: str = ""


@dataclass(frozen=True)
class Benchmark:
    """Where a benchmark's tables are and what may be done with them.

    Attributes:
        name: the word on the command line.
        title: as its authors call it.
        hub: name of the data set on the hub.
        configs: its tables.
        forget: the default forget config of `unsee evaluate`.
        scorer: dotted name of the `Scorer` class.
        summary: one line.
        training_hub: where training data of the forget and retain configs is, if not at `hub`.
        folders: purpose -> sub-folders of a local copy in which its configs may lie, first found
            first taken.
        wants: metric of the forget set -> what the benchmark's authors (`released`) and visual
            unlearning (`visual`) hold for good: `low`, or `kept`. The same score is a success for
            one and damage for the other, so it is stored with the task.
    """

    name: str
    title: str
    hub: str
    configs: tuple[Config, ...]
    forget: str
    scorer: str
    summary: str = ""
    training_hub: str = ""
    folders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    wants: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def config(self, name: str) -> Config:
        """The config of that name.

        Raises:
            UnseeError: there is none; the message lists those that there are.
        """
        for config in self.configs:
            if config.name == name:
                return config
        raise UnseeError(f"{self.title} has no config {name!r}: it has {', '.join(self.names())}")

    def names(self, purpose: str | None = None) -> list[str]:
        """Names of the configs, of those for one purpose if that is given."""
        return [c.name for c in self.configs if purpose is None or purpose in c.columns]

    def scorer_class(self) -> Any:
        """The class that scores it."""
        module, _, name = self.scorer.rpartition(".")
        return getattr(import_module(module), name)


_BENCHMARKS: Registry[Benchmark] = Registry(
    "benchmark", "unsee.data.benchmarks", ("clear", "fiubench", "mllmu", "umu")
)
register, list_benchmarks, get_benchmark = (
    _BENCHMARKS.register,
    _BENCHMARKS.all,
    _BENCHMARKS.get,
)
