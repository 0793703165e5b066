"""What the scorer of a benchmark is: it reads its tables, then asks a model and counts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from unsee.data.benchmarks.records import LazyPicture
from unsee.data.benchmarks.registry import Benchmark, get_benchmark
from unsee.errors import UnseeError
from unsee.evaluation.benchmarks.kept import Kept

CORRECTED, RELEASED = "corrected", "released"
PROTOCOLS = (CORRECTED, RELEASED)
"""Ours, seeded and deterministic; and the published scripts, point by point, as far as we know
them. What the two differ in is in docs/benchmarks.md."""

ASKED = ("set", "kind", "direction", "id", "question")
"""What of a row tells which question it is about."""


@dataclass(frozen=True)
class Tables:
    """What a scorer has read, before any model is loaded.

    Attributes:
        sets: name of the set (`forget`, `test`, …) -> its people or rows, in the table's order.
        left_out: set -> why it is not scored; a scorer may add what it finds out on the way.
        notes: what `config.yaml` is to tell of the data.
    """

    sets: Mapping[str, Any]
    left_out: dict[str, str] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


class Scorer(ABC):
    """One benchmark's scoring.

    A scorer names its benchmark (`benchmark`), reads and checks the data (`read`), and scores
    (`score`). Metrics are flat: `<set>/<kind>/<direction>_<metric>`, such as
    `forget/classification/image_accuracy`; accuracies and ROUGE in [0, 1].

    Attributes:
        benchmark: its name in the registry.
        few_shot: whether examples are given, as the benchmark has it. `--zero-shot` makes it False,
            for models whose context they don't fit; None: the benchmark has none.
        kept: where answers are kept as they come; None: nowhere.
    """

    benchmark: str
    compares_with_gold: bool = False
    """Whether `against_gold` says something."""
    few_shot: bool | None = None
    kept: Kept | None = None

    @property
    def entry(self) -> Benchmark:
        """Its entry in the registry."""
        return get_benchmark(self.benchmark)

    @abstractmethod
    def read(
        self, source: str | None, forget: str | None = None, limit: int | None = None
    ) -> Tables:
        """Opens what is scored and checks it, pictures included.

        Args:
            source: folder, parquet file or name on the hub; None: the benchmark's own.
            forget: config of the people to forget, such as `forget_5`; None: the default.
            limit: at most so many people (or rows) of each set.

        Raises:
            UnseeError: see `unsee.data.benchmarks.tables`; a picture can't be read.
        """

    @abstractmethod
    def score(
        self,
        model: Any,
        processor: Any,
        tables: Tables,
        protocol: str = CORRECTED,
        seed: int = 0,
        batch_size: int = 16,
        progress: bool = True,
    ) -> tuple[dict[str, float], list[dict[str, Any]]]:
        """Asks and counts.

        Args:
            model: multimodal model.
            processor: its processor, with chat template.
            tables: what `read` gave.
            protocol: `corrected` or `released`.
            seed: of what is drawn, such as the few-shot person.
            batch_size: prompts at a time.
            progress: show progress bars.

        Returns:
            (metrics, one row a question with `set`, `id`, `kind`, `direction`, `question`,
            `answer`, `prediction` and how it was judged).

        Raises:
            UnseeError: a prompt is longer than the model's context.
        """

    def against_gold(
        self, rows: Sequence[Mapping[str, Any]], golds: Sequence[Mapping[str, Any]]
    ) -> dict[str, float]:
        """Distances of a model to gold, a model that never saw the forgotten; see `distances`.

        Args:
            rows: the rows of `score`.
            golds: gold's rows on the same questions, by the same protocol.

        Raises:
            UnseeError: gold's rows are on other questions; the benchmark has no such measure.
        """
        ours, theirs = (
            Counter(tuple(row.get(k) for k in ASKED) for row in s) for s in (rows, golds)
        )
        other = (ours - theirs) + (theirs - ours)
        if other:
            named, kind, direction, who, question = next(iter(other))
            raise UnseeError(
                f"gold was asked other questions: {named}, {kind}, {direction} of {who} "
                f"({question!r}) was asked of one model alone: evaluate gold on the same data"
            )
        return self.distances(rows, golds)

    def distances(
        self, rows: Sequence[Mapping[str, Any]], golds: Sequence[Mapping[str, Any]]
    ) -> dict[str, float]:
        """What `against_gold` gives, of rows on the same questions.

        Raises:
            UnseeError: the benchmark has no such measure.
        """
        raise UnseeError(f"{self.entry.title} has no measure against a gold model")


def check_protocol(protocol: str) -> None:
    """Refuses a protocol that is not offered.

    Raises:
        UnseeError: it is not.
    """
    if protocol not in PROTOCOLS:
        raise UnseeError(f"protocol {protocol!r} is not offered; choose {', '.join(PROTOCOLS)}")


def check_pictures(pictures: Iterable[LazyPicture | None], progress: bool = True) -> None:
    """Decodes pictures once, so that a damaged one is found before a model is loaded.

    Raises:
        UnseeError: one can't be read; the message names the row.
    """
    from tqdm.auto import tqdm

    known = dict.fromkeys(picture for picture in pictures if picture is not None)
    for picture in tqdm(known, "checking pictures", unit="picture", delay=2, disable=not progress):
        picture.load()
