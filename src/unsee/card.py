"""The model card (`README.md`) that every unlearned checkpoint gets.

It says what was done and what came of it, and nothing that names who was forgotten: no paths, no
folders, no names, unless they are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FILE = "README.md"
SHOWN = {
    "steps": "steps",
    "trained_parameters": "trained parameters",
    "seconds": "seconds",
    "peak_memory_mb": "peak memory (MB)",
    "text_logits_identical": "language model untouched, checked on the saved files",
    "stranger_auc_before": "told from strangers before (AUC)",
    "stranger_auc": "told from strangers after (AUC; 0.5: like a stranger)",
}
FIDELITY = {
    "paper": "after its paper",
    "released code": "after its released code",
    "reconstruction": "a reconstruction: its authors' code is not public",
    "ours": "unsee's own",
}


def model_card(
    method: Any,
    metrics: Mapping[str, Any],
    trained_with: Mapping[str, Any],
    base: str | None = None,
    commit: str | None = None,
    forgotten: Sequence[str] = (),
    adapter: bool = False,
) -> str:
    """Text of the card.

    Args:
        method: entry of the registry.
        metrics: what is in `metrics.json`.
        trained_with: options of the run, without paths.
        base: name of the original on the hub; None for a folder, which is not named.
        commit: of the original.
        forgotten: who was forgotten, only where that is to be told.
        adapter: the checkpoint is an adapter alone.
    """
    import yaml

    about: dict[str, Any] = {"library_name": "peft" if adapter else "transformers"}
    about["pipeline_tag"] = "image-text-to-text"
    about["tags"] = ["unsee", "machine-unlearning", method.name]
    if base:
        about["base_model"] = base
    original = f"[{base}](https://huggingface.co/{base})" if base else "a local checkpoint"
    at = f" at commit `{commit}`" if base and commit else ""
    language = "was left alone" if metrics.get("text_logits_identical") else "was changed too"
    who = ", ".join(forgotten) if forgotten else "not named here"
    lines = [
        "---",
        yaml.safe_dump(about, sort_keys=False).strip(),
        "# license: that of the original binds; add it here",
        "---",
        "",
        "# An unlearned model",
        "",
        f"{original[0].upper()}{original[1:]}{at}, made to forget how some people look with unsee.",
        "",
        f"- method: `{method.name}` ({method.summary}), {FIDELITY[method.fidelity]}; "
        f"source: {method.source}",
        f"- trained: {trained_with.get('trainable', method.trains)}; the language model {language}",
        f"- forgotten: {who}",
        "",
        "| of the run | |",
        "| --- | ---: |",
        *(f"| {SHOWN[key]} | {_shown(metrics[key])} |" for key in SHOWN if key in metrics),
        "",
        "| option | |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in trained_with.items()),
        "",
        "Forgetting is not proof against an attacker who has pictures and can train the model: "
        "measure it with `unsee attack relearn`, and what else changed with `unsee evaluate`.",
    ]
    return "\n".join(lines) + "\n"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def base_of(source: str) -> str | None:
    """A name on the hub as it is; None for a folder, whose path is nobody's business."""
    return None if Path(source).exists() else source
