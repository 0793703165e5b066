"""The variants of VKD that `unsee ablate` compares: a name, and what differs from a start."""

from __future__ import annotations

from typing import Any

from unsee.errors import UnseeError

BASE: dict[str, Any] = {
    "features": "vision+projector",
    "learning_rate": 3e-4,
    "max_steps": 300,
    "target_strength": 1.0,
    "near_pictures": 0,
    "identity_weight": 0.0,
}
"""The starting point, where it differs from VKD's defaults, which this study has decided."""
START = "start"
"""The name of the variant without any change."""

VARIANTS: dict[str, dict[str, Any]] = {
    START: {},
    "target: k-same": {"forget_target": "k-same"},
    "target: k-same of 1": {"forget_target": "k-same", "neighbours": 1},
    "target: k-same of 32": {"forget_target": "k-same", "neighbours": 32},
    "target: strangers": {"forget_target": "strangers"},
    "target: nearest stranger": {"forget_target": "strangers", "neighbours": 1},
    "target: mean retain": {"forget_target": "mean-retain"},
    "target: other people": {"forget_target": "other-people"},
    "target: random direction": {"forget_target": "random-direction"},
    "target: repel": {"forget_target": "repel"},
    "target: repel, margin 0.3": {"forget_target": "repel", "repel_margin": 0.3},
    "target: pruned 2 %": {"forget_target": "pruned", "prune_ratio": 0.02},
    "target: pruned 5 %": {"forget_target": "pruned", "prune_ratio": 0.05},
    "target: pruned 10 %": {"forget_target": "pruned", "prune_ratio": 0.10},
    "target: pruned 5 % by abs-mean": {"forget_target": "pruned", "prune_score": "abs-mean"},
    "target: pruned 5 % by std": {"forget_target": "pruned", "prune_score": "std"},
    "student pruned 5 %": {"prune_side": "student"},
    "anonymous, strength 0.5": {"target_strength": 0.5},
    "anonymous, strength 1.5": {"target_strength": 1.5},
    "features: vision": {"features": "vision"},
    "features: projector": {"features": "projector"},
    "features: every block": {"blocks": "0,1,2"},
    "distance: mse": {"distance": "mse"},
    "distance: cosine": {"distance": "cosine"},
    "answers: CE": {"output_loss": "ce", "output_weight": 0.1},
    "answers: NPO": {"output_loss": "npo", "output_weight": 0.1},
    "answers: KL": {"output_loss": "kl", "output_weight": 0.1},
    "mask: fisher of features": {"mask": "fisher"},
    "mask: fisher of features, 0.5": {"mask": "fisher", "mask_threshold": 0.5},
    "mask: fisher of features, 2": {"mask": "fisher", "mask_threshold": 2.0},
    "mask: fisher of CE": {
        "mask": "fisher",
        "fisher_of": "ce",
        "output_loss": "ce",
        "output_weight": 0.1,
    },
    "mask: top half": {"mask": "top-half"},
    "mask: random": {"mask": "random"},
    "trained: vision": {"trainable": "vision"},
    "trained: projector": {"trainable": "projector"},
    "trained: last block and projector": {"vision_blocks": 1},
    "trained: last two blocks and projector": {"vision_blocks": 2},
    "trained: adapters of rank 8": {"lora_rank": 8, "learning_rate": 1e-3},
    "pictures not varied": {"augment": False},
    "similar people: no more often": {"hard_share": 0.0},
    "similar people: share 0.25": {"hard_share": 0.25},
    "similar people: share 0.75": {"hard_share": 0.75},
    "as its readers describe VKD": {
        "forget_target": "pruned",
        "mask": "fisher",
        "fisher_of": "ce",
        "output_loss": "ce",
        "output_weight": 0.1,
        "augment": False,
        "hard_share": 0.0,
    },
    "schedule: alternating": {"schedule": "alternating"},
    "schedule: forget every 2nd": {"forget_every": 2},
    "retain weight 1": {"retain_weight": 1.0},
    "retain weight 10": {"retain_weight": 10.0},
    "learning rate 1e-4": {"learning_rate": 1e-4},
    "learning rate 1e-3": {"learning_rate": 1e-3},
    "steps 150": {"max_steps": 150},
    "steps 600": {"max_steps": 600},
    # Combinations of what did well alone.
    "rate 1e-3, features: projector": {"learning_rate": 1e-3, "features": "projector"},
    "rate 1e-3, trained: projector": {"learning_rate": 1e-3, "trainable": "projector"},
    "rate 1e-3, steps 600": {"learning_rate": 1e-3, "max_steps": 600},
    "rate 1e-3, fisher of features, 0.5": {
        "learning_rate": 1e-3,
        "mask": "fisher",
        "mask_threshold": 0.5,
    },
    "rate 1e-3, features: projector, steps 600": {
        "learning_rate": 1e-3,
        "features": "projector",
        "max_steps": 600,
    },
    "rate 1e-3, strength 1.2": {"learning_rate": 1e-3, "target_strength": 1.2},
    "trained: projector, strength 1.2": {"trainable": "projector", "target_strength": 1.2},
    "rate 1e-3, trained: projector, steps 600": {
        "learning_rate": 1e-3,
        "trainable": "projector",
        "max_steps": 600,
    },
    "rate 1e-3, trained: projector, strength 1.2": {
        "learning_rate": 1e-3,
        "trainable": "projector",
        "target_strength": 1.2,
    },
    "rate 1e-3, trained: projector, steps 600, strength 1.2": {
        "learning_rate": 1e-3,
        "trainable": "projector",
        "max_steps": 600,
        "target_strength": 1.2,
    },
    "rate 1e-3, features: projector, steps 600, strength 1.2": {
        "learning_rate": 1e-3,
        "features": "projector",
        "max_steps": 600,
        "target_strength": 1.2,
    },
    "rate 1e-3, features: projector, steps 600, fisher of features, 0.5": {
        "learning_rate": 1e-3,
        "features": "projector",
        "max_steps": 600,
        "mask": "fisher",
        "mask_threshold": 0.5,
    },
    "rate 1e-3, features: projector, steps 600, strength 1.2, fisher of features, 0.5": {
        "learning_rate": 1e-3,
        "features": "projector",
        "max_steps": 600,
        "target_strength": 1.2,
        "mask": "fisher",
        "mask_threshold": 0.5,
    },
    "as its readers describe VKD, varied and similar people": {
        "forget_target": "pruned",
        "mask": "fisher",
        "fisher_of": "ce",
        "output_loss": "ce",
        "output_weight": 0.1,
    },
}
DISTILLED: dict[str, Any] = {"learning_rate": 1e-3, "features": "projector", "max_steps": 600}
"""The best of the above that needs neither W nor questions; on it, the person's own direction."""
ON_THE_PERSON: dict[str, dict[str, Any]] = {
    "identity 1": {"identity_weight": 1.0},
    "identity 3": {"identity_weight": 3.0},
    "identity 10": {"identity_weight": 10.0},
    "near 100": {"near_pictures": 100},
    "near 100, identity 10": {"near_pictures": 100, "identity_weight": 10.0},
    "near 100, identity 10, strength 1.3": {
        "near_pictures": 100,
        "identity_weight": 10.0,
        "target_strength": 1.3,
    },
    "near 100, identity 10, strength 1.5": {
        "near_pictures": 100,
        "identity_weight": 10.0,
        "target_strength": 1.5,
    },
    "near 30, identity 10, strength 1.3": {
        "near_pictures": 30,
        "identity_weight": 10.0,
        "target_strength": 1.3,
    },
    "near 300, identity 10, strength 1.3": {
        "near_pictures": 300,
        "identity_weight": 10.0,
        "target_strength": 1.3,
    },
}
BEFORE = "rate 1e-3, features: projector, steps 600"
VARIANTS |= {f"{BEFORE}, {name}": {**DISTILLED, **own} for name, own in ON_THE_PERSON.items()}
GROUPS = {"on the person": [BEFORE, *(f"{BEFORE}, {name}" for name in ON_THE_PERSON)]}
"""Names of several variants at once."""


def named(text: str) -> list[str]:
    """Variants of a list that is separated by commas, as some names hold commas themselves; or of
    a group.

    Raises:
        UnseeError: the list holds what is no variant's name.
    """
    if text.strip() in GROUPS:
        return list(GROUPS[text.strip()])
    found, rest = [], text.strip()
    while rest:
        fits = [name for name in VARIANTS if f"{rest},".startswith(f"{name},")]
        if not fits:
            raise UnseeError(f"there is no variant {rest!r}; there is {'; '.join(VARIANTS)}")
        found.append(max(fits, key=len))
        rest = rest[len(found[-1]) :].lstrip(", ")
    return found
