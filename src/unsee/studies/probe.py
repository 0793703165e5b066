"""Where identity lives: a linear probe at every layer, before and after unlearning.

    python -m unsee.studies.probe docs/results/probe.json validation vanilla=DIR vkd=DIR gold=DIR

At each layer, ridge regression on the features of known people's training pictures tells whose
picture it is; it is asked about pictures that it did not see. Two probes: one fitted to the model's
own features (*new*: is the person still told apart there?), and one fitted to those of the first
model named (*original*: are they still where they were?). Chance is one in the number of people.

Two controls: a probe fitted to pictures whose people were shuffled (*shuffled*: what the probe
makes of nothing), and one that never saw the people to forget, in whose decisions their pictures
are verified against strangers' (*held out*: are they told apart without having been learnt?).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unsee.data.faces import splits
from unsee.data.records import PRIVATE, PictureKey, Question
from unsee.errors import optional
from unsee.evaluation.further import verification_auc
from unsee.studies.command import command
from unsee.studies.ledger import Ledger

if TYPE_CHECKING:
    from unsee.data.faces.benchmark import Faces
    from unsee.data.faces.splits import Split

FITTED, ASKED = 20, 5
"""Pictures of each known person that a probe is fitted to, and that it is asked about."""
RIDGE = 0.1
"""Penalty, as a share of the features' mean squared norm."""
QUESTION = "Who is this?"


def layers_of(
    model: Any, processor: Any, pictures: Sequence[np.ndarray], batch_size: int = 64
) -> dict[str, np.ndarray]:
    """Features of pictures at every layer, [N, D] each: the tokens of `vision 1`, … and
    `projector` side by side; at `language 1`, … the last token of the prompt `QUESTION`."""
    import torch

    from unsee.anatomy import anatomy_of
    from unsee.evaluation.answering import prompt_of

    seeing = anatomy_of(model).seeing
    shown = PictureKey(0, "given", 0)
    prompt = prompt_of(processor, Question("", 0, "", shown, PRIVATE, "name", QUESTION, ""))
    found: dict[str, list[np.ndarray]] = {}
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(pictures), batch_size):
            chosen = list(pictures[start : start + batch_size])
            batch = processor(
                text=[prompt] * len(chosen), images=chosen, return_tensors="pt", padding=True
            ).to(model.device)
            seen = seeing(batch)
            states = model(**batch, output_hidden_states=True).hidden_states[1:]
            layers = {f"vision {i + 1}": x.flatten(1) for i, x in enumerate(seen.blocks)}
            layers["projector"] = seen.projector.flatten(1)
            layers |= {f"language {i + 1}": x[:, -1] for i, x in enumerate(states)}
            for name, values in layers.items():
                found.setdefault(name, []).append(values.float().cpu().numpy())
    return {name: np.concatenate(values) for name, values in found.items()}


def fitted(features: np.ndarray, people: np.ndarray, ridge: float = RIDGE) -> Any:
    """A linear probe: ridge regression from standardised features to one of several people.

    Args:
        features: [N, D].
        people: [N], whose.
        ridge: see `RIDGE`.

    Returns:
        An estimator of scikit-learn: `predict` tells who is on each picture, `decision_function`
        how much each person speaks for it, [N, people].
    """
    classifier = optional("sklearn.linear_model", "metrics").RidgeClassifier
    scaler = optional("sklearn.preprocessing", "metrics").StandardScaler
    steps = scaler(), classifier(alpha=ridge * features.shape[1])
    return optional("sklearn.pipeline", "metrics").make_pipeline(*steps).fit(features, people)


def held_out_auc(
    features: np.ndarray, people: np.ndarray, asked: Mapping[int, np.ndarray], others: np.ndarray
) -> float:
    """Whether a probe of some people tells *other* people apart: verification in its decisions.

    Args:
        features: [N, D], of people whom the probe is fitted to.
        people: [N], whose.
        asked: person held out -> [M, D].
        others: [K, D], of strangers.

    Returns:
        ROC-AUC of telling two pictures of a person held out from one of theirs and a stranger's,
        a mean over people, see `verification_auc`; 0.5 is chance.
    """
    speak = fitted(features, people).decision_function
    return verification_auc([speak(of_person) for of_person in asked.values()], speak(others))


def _pictures(
    faces: Faces, people: Sequence[int], renders: str, count: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """The first pictures of each person, and whose each is."""
    shown = [(x, p) for p in people for x in faces.pictures(p, renders)[:count]]
    return [x for x, _ in shown], np.array([p for _, p in shown])


def probe(
    models: Mapping[str, str], output: Path, faces: Faces, split: Split, pictures: str
) -> Ledger:
    """Probes what is missing from the result file.

    Args:
        models: name -> checkpoint; the first one is the original.
        output: result file; a row a model and layer, with accuracies in [0, 1]: `new/forget`,
            `new/retain`, `original/forget`, `original/retain`, `shuffled/forget`,
            `shuffled/retain`; and the ROC-AUC `held_out/forget`.
        faces: the embedded benchmark.
        split: who was forgotten.
        pictures: `test` or `validation`, on which probes are asked.
    """
    from unsee.checkpoints import load

    about = {"study": "probe", "split": split.name, "seed": split.seed, "pictures": pictures}
    ledger = Ledger(output, about, ("model", "layer"))
    known = [*split.forget, *split.retain]
    faces.prepare([(p, s) for p in known for s in ("train", pictures)])
    faces.prepare([(p, pictures) for p in splits.STRANGERS])
    fitted_to, whose = _pictures(faces, known, "train", FITTED)
    asked, truth = _pictures(faces, known, pictures, ASKED)
    gone, learnt = np.isin(truth, split.forget), np.isin(whose, split.retain)
    others, _ = _pictures(faces, splits.STRANGERS, pictures, ASKED)
    shuffled = np.random.default_rng(split.seed).permutation(whose)
    originals: dict[str, Any] = {}
    for number, (name, source) in enumerate(models.items()):
        checkpoint = ledger.same_model(name, source, model=name)
        if number and any(row["model"] == name for row in ledger.rows):
            continue
        model, processor = load(source)
        before = layers_of(model, processor, fitted_to)
        seen = layers_of(model, processor, [*asked, *others])
        for layer, both in seen.items():
            features, strange = both[: len(asked)], both[len(asked) :]
            new = fitted(before[layer], whose)
            original = originals.setdefault(layer, new)
            control = fitted(before[layer], shuffled)
            row: dict[str, Any] = {"model": name, "layer": layer, "checkpoint": checkpoint}
            for title, one in (("new", new), ("original", original), ("shuffled", control)):
                right = one.predict(features) == truth
                row[f"{title}/forget"] = round(float(right[gone].mean()), 4)
                row[f"{title}/retain"] = round(float(right[~gone].mean()), 4)
            held = {person: features[truth == person] for person in split.forget}
            auc = held_out_auc(before[layer][learnt], whose[learnt], held, strange)
            row["held_out/forget"] = round(auc, 4)
            if not ledger.find(model=name, layer=layer):
                ledger.add(row)
                print(row, flush=True)
    return ledger


def _main(output: str, which: str, *named: str) -> None:
    from unsee.data.faces.benchmark import Faces

    sources = dict(word.split("=", 1) for word in named)
    split = splits.make_split(which)
    probe(sources, Path(output), Faces(), split, split.pictures)


if __name__ == "__main__":
    command(__doc__, 3, _main)
