"""Scores MLLMU-Bench by its own protocol: four sets, three kinds of questions, two directions."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from unsee.data.benchmarks.mllmu import (
    CELEBRITIES,
    MLLMU,
    TEST,
    read_people,
    retain_of,
)
from unsee.data.benchmarks.people import Person
from unsee.data.benchmarks.records import CLASSIFICATION, CLOZE, GENERATION, IMAGE, TEXT
from unsee.data.benchmarks.registry import EVALUATION
from unsee.data.benchmarks.tables import has_config, open_table
from unsee.errors import UnseeError, optional
from unsee.evaluation.benchmarks import mllmu_prompts
from unsee.evaluation.benchmarks.base import (
    CORRECTED,
    RELEASED,
    Scorer,
    Tables,
    check_protocol,
)
from unsee.evaluation.benchmarks.judging import LIBRARIES, TextScores, gaps_to_gold, judge, means
from unsee.evaluation.benchmarks.people import Asking, pose_of, put, read_set

FORGET, TESTED, SHARED, FAMOUS = "forget", "test", "retain_shared", "retain_celebrity"
NEW_TOKENS = 50
SHOTS = {CLASSIFICATION: 1, CLOZE: 2, GENERATION: 0}
"""People whose questions are given with their answers; they are not scored in that kind."""
ORDER = {
    FORGET: (CLOZE, CLASSIFICATION, GENERATION),
    TESTED: (CLASSIFICATION, CLOZE, GENERATION),
    SHARED: (CLOZE, CLASSIFICATION, GENERATION),
    FAMOUS: (CLOZE, CLASSIFICATION, GENERATION),
}
"""The order of the released script, which decides what its random numbers are drawn for."""


def shots_of(name: str, kind: str) -> int:
    """How many people are examples: none for choices about celebrities."""
    return 0 if (name, kind) == (FAMOUS, CLASSIFICATION) else SHOTS[kind]


class MLLMUScorer(Scorer):
    """MLLMU-Bench (arXiv 2410.22108)."""

    benchmark = "mllmu"
    compares_with_gold = True
    few_shot = True

    def read(
        self, source: str | None, forget: str | None = None, limit: int | None = None
    ) -> Tables:
        """Reads the people of the four sets; see `Scorer.read`.

        Of Test_Set those of the forget config are taken. Sets that a local folder lacks are left
        out, but for the forget set. With `limit`, each set is its first people, two more than the
        limit, for the examples.
        """
        for library in LIBRARIES:
            optional(library, "metrics")
        forget = forget or MLLMU.forget
        if not forget.startswith("forget_"):
            raise UnseeError(f"{forget} is no config of people to forget: take forget_5, 10 or 15")
        MLLMU.config(forget)
        if source is not None and Path(source).is_file():
            raise UnseeError(
                f"{source} is one table, and several are scored: give the folder of all configs"
            )
        configs = {FORGET: forget, TESTED: TEST, SHARED: retain_of(forget), FAMOUS: CELEBRITIES}
        most = None if limit is None else limit + max(SHOTS.values())
        sets: dict[str, list[Person]] = {}
        left_out: dict[str, str] = {}
        for name, config in configs.items():
            if name != FORGET and not has_config(MLLMU, source, config, EVALUATION):
                left_out[name] = f"there is no {config} in {source}"
                continue
            people = read_people(open_table(MLLMU, source, config))
            if name == TESTED:
                wanted = {person.id for person in sets[FORGET]}
                people = [person for person in people if person.id in wanted]
                if not people:
                    left_out[name] = f"nobody of {forget} is in {TEST}"
                    continue
            sets[name] = read_set(name, people[:most], left_out)
        return Tables(sets, left_out, {"limit": limit})

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
        """Asks all sets; see `Scorer.score`. The released protocol asks one prompt at a time.

        Metrics: `forget/classification/image_accuracy`, `…/image_likelihood_accuracy` (of the
        likeliest letter; corrected only), `forget/cloze/text_accuracy`,
        `forget/generation/image_rouge1`, `…_rouge2`, `…_rougeL`, `…_bleu`, for the sets
        `forget`, `test`, `retain_shared` and `retain_celebrity` and the directions `image` and
        `text`; see `judging.means`.
        """
        check_protocol(protocol)
        texts = TextScores()
        plan = list(self.plan(processor, tables, protocol, seed))
        if not plan:
            raise UnseeError("no question is left to score: the examples took all people")
        with_shots = {kind for kind in SHOTS if self.few_shot and SHOTS[kind]}
        rows = put(
            *(model, processor, plan, dict.fromkeys(SHOTS, NEW_TOKENS), protocol, batch_size),
            progress=progress,
            kept=self.kept,
            names={kind: f"{kind} with examples" for kind in with_shots},
        )
        for row in rows:
            judge(row, texts, protocol == RELEASED)
        return means(rows), rows

    def distances(
        self, rows: Sequence[Mapping[str, Any]], golds: Sequence[Mapping[str, Any]]
    ) -> dict[str, float]:
        """`gap/<metric>`, in points, see `gaps_to_gold`; the smaller, the better."""
        return gaps_to_gold(means(rows), means(golds))

    def plan(
        self, processor: Any, tables: Tables, protocol: str = CORRECTED, seed: int = 0
    ) -> Iterator[Asking]:
        """All questions in order, each with its prompt.

        Args:
            processor: of the model.
            tables: what `read` gave.
            protocol: `corrected` or `released`.
            seed: of the people who are examples, and of the poses of Test_Set.
        """
        write: Any = mllmu_prompts.corrected
        if protocol == RELEASED:
            write = partial(mllmu_prompts.released, mark=mllmu_prompts.mark_of(processor))
        script = random.Random(seed)  # the script draws from one source, unseeded, as it goes
        limit = tables.notes.get("limit")
        for name, kinds in ORDER.items():
            people: Sequence[Person] = tables.sets.get(name, ())
            known: Mapping[str, Person] = {p.id: p for p in tables.sets.get(FORGET, ())}
            if name != TESTED:
                known = {p.id: p for p in people}
            for kind in kinds if people else ():
                draw = script if protocol == RELEASED else random.Random(f"{seed}/{kind}")
                bare = {p.id for p in known.values() if not p.pictures}
                shots = self._shots(name, kind, people, draw, () if protocol == RELEASED else bare)
                if bare.intersection(shots):
                    tables.left_out[f"{name}/{kind}/image, examples"] = (
                        f"{', '.join(sorted(bare.intersection(shots)))} has no picture to show"
                    )
                scored = [p for p in people if p.id not in shots][:limit]
                for person in scored:
                    pose = pose_of(person, script if protocol == RELEASED else seed)
                    for direction in (IMAGE, TEXT):
                        given = [i for s in shots for i in known[s].items(kind, direction)]
                        for item in person.items(kind, direction, pose):
                            yield Asking(name, item, write(processor, item, given), pose)

    def _shots(
        self,
        name: str,
        kind: str,
        people: Sequence[Person],
        draw: random.Random,
        bare: Collection[str],
    ) -> list[str]:
        """IDs of those who are examples, in the order of the table; somebody is left to score, and
        nobody of `bare` is an example, unless all are."""
        ids = list(dict.fromkeys(person.id for person in people))
        able = [i for i in ids if i not in bare] or ids
        count = min(shots_of(name, kind), len(ids) - 1, len(able)) if self.few_shot else 0
        drawn = draw.sample(sorted(able), count)
        return [i for i in ids if i in drawn]
