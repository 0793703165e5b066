"""Do the metrics work? Whether each tells models that know people from models that do not.

    python -m unsee.studies.metrics MODELS docs/results/metrics.json 0,1,2

The pool (as in Open-MMUnlearning, arXiv 2610.10358): for each seed and each forget set, the vanilla
and the golds of *other* sets were taught its people, its own golds (`gold-test`, `gold-test@1` …)
never saw them, and own golds that were exposed to them for some steps (`gold-test+100`) know them
somewhat. Each model is asked about the set, and each metric is a score; its ROC-AUC over the pool
is how often it is larger for a model that knows, each length of exposure apart. Metrics that need a
gold take another one than the model itself; for an exposed gold the one from which it went on.
A gold that lacks others beside the set (`gold-test-15` for `test`) is not in the pool: it never saw
people who are to be retained, and metrics that count those are far from gold for that.
`MODELS` is a folder of `unsee faces train`; whatever models it holds are used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee.data.faces.splits import SETS, make_split
from unsee.errors import UnseeError
from unsee.evaluation.evaluate import evaluate_faces
from unsee.evaluation.further import further_metrics
from unsee.evaluation.gold import distance_to_gold
from unsee.evaluation.strangers import rank_auc
from unsee.models.names import forgotten_by, origin, parts
from unsee.studies.command import command
from unsee.studies.ledger import Ledger

if TYPE_CHECKING:
    from unsee.data.faces.benchmark import Faces

LARGER_KNOWS = {
    "gold_gap": "gap to gold",
    "js_to_gold": "Jensen-Shannon divergence to gold",
    "forget/vqa_accuracy": "accuracy, exact match",
    "forget/cloze_accuracy": "cloze accuracy",
    "forget/choice_accuracy": "classification by likelihood",
    "forget/letter_accuracy": "classification by letters",
    "forget/answer_probability": "answer probability",
    "forget/rougeL": "ROUGE-L",
    "forget/bleu": "BLEU",
    "forget/verification_auc": "verification, ROC-AUC in the projector's features",
    "forget_quality/ks_distance": "forget quality, KS distance of truth ratios to gold's",
    "forget_quality/js_divergence": "forget quality, JS divergence of truth ratios to gold's",
}
"""Metrics that are larger for a model that knows, and what they are called."""
SMALLER_KNOWS = {
    "forget/truth_ratio": "truth ratio, per question",
    "forget/truth_ratio_released": "truth ratio, one for all questions",
    "forget/abstain_rate": "“I don't know”",
}


def pool(models: Path, seed: int) -> Iterator[tuple[str, str, bool, int]]:
    """(people, name of a model, whether it knows them, for how many steps it was exposed to them;
    0 where it was taught them or never saw them) of a seed."""
    names = sorted(f.parent.name for f in (models / f"seed{seed}").glob("*/config.json"))
    names = [name for name in names if name.partition("-")[0] in ("vanilla", "gold")]
    absent = {name: set(forgotten_by(name, seed)) for name in names}
    begun = {name: set(forgotten_by(origin(name), seed)) for name in names}
    for people in SETS:
        wanted = set(make_split(people, seed).forget)
        if wanted not in absent.values():
            continue
        for name in names:
            if wanted == begun[name]:
                exposure = parts(name)[2]
                yield people, name, exposure > 0, exposure
            elif not wanted & begun[name]:
                yield people, name, True, 0


def meta_evaluation(models: Path, output: Path, faces: Faces, seeds: Sequence[int]) -> Ledger:
    """Asks what is missing from the result file; a row a seed, set and model."""
    from unsee.checkpoints import load

    about = {"study": "metrics", "pictures": "test"}
    ledger = Ledger(output, about, ("seed", "people", "model"))
    for seed in seeds:
        missing = [
            x for x in pool(models, seed) if not ledger.find(seed=seed, people=x[0], model=x[1])
        ]
        if not missing and not ledger.rows:
            raise UnseeError(f"{models}/seed{seed} holds no gold: make one with unsee faces train")
        for people in dict.fromkeys(found[0] for found in missing):
            split = make_split(people, seed)
            asked: dict[str, Any] = {}

            def ask(name: str, split: Any = split, asked: Any = asked, seed: int = seed) -> Any:
                if name not in asked:
                    model, processor = load(str(models / f"seed{seed}" / name))
                    found = evaluate_faces(model, processor, faces, split, progress=False)
                    asked[name] = (*found, model, processor)
                return asked[name]

            for which, name, knows, exposure in missing:
                if which != people:
                    continue
                scores, rows, model, processor = ask(name)
                golds = [f"gold-{people}", f"gold-{people}@1"]
                other = [g for g in golds if g != name and (models / f"seed{seed}" / g).exists()]
                reference = ask(other[0])[:2] if other else None
                found = dict(scores)
                if reference:
                    found |= distance_to_gold(scores, rows, *reference)
                found |= further_metrics(
                    *(model, processor, faces, split, "test", scores, rows),
                    reference[1] if reference else None,
                    progress=False,
                )
                wanted = {k: found[k] for k in (*LARGER_KNOWS, *SMALLER_KNOWS) if k in found}
                row = {"seed": seed, "people": people, "model": name, "knows": knows}
                ledger.add({**row, "exposure": exposure, **wanted})
                print(
                    f"seed {seed}, {people}, {name}: {'knows' if knows else 'does not'}", flush=True
                )
    return ledger


def aucs(rows: Sequence[dict[str, Any]], exposure: int = 0) -> dict[str, tuple[float, int, int]]:
    """Title of each metric that both kinds have -> (ROC-AUC, models that know, that do not).

    Args:
        rows: of the result file.
        exposure: models that know are those exposed for so many steps; 0: those that were taught.
    """
    known = [row for row in rows if row["knows"] and row.get("exposure", 0) == exposure]
    unknown = [row for row in rows if not row["knows"]]
    found = {}
    for sign, names in ((1, LARGER_KNOWS), (-1, SMALLER_KNOWS)):
        for key, title in names.items():
            sides = [[sign * row[key] for row in side if key in row] for side in (known, unknown)]
            if all(sides):
                found[title] = rank_auc(*sides), len(sides[0]), len(sides[1])
    return found


def _main(models: str, output: str, seeds: str) -> None:
    from unsee.data.faces.benchmark import Faces

    numbers = [int(part) for part in seeds.split(",")]
    meta_evaluation(Path(models), Path(output), Faces(), numbers)


if __name__ == "__main__":
    command(__doc__, 3, _main)
