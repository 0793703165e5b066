"""Keeps the numbers in the docs equal to the result files.

    python -m unsee.report.docs collect runs/demo docs/results/demo.json
    python -m unsee.report.docs fill README.md
    python -m unsee.report.docs draw docs/results/relearning.json vision docs/images/relearning.svg
    python -m unsee.report.docs draw docs/results/ablation.json retain docs/images/pareto.svg
    python -m unsee.report.docs draw docs/results/probe.json new/forget docs/images/probe.svg

A page holds blocks that `fill` rewrites from the file that they name:

    <!-- begin demo docs/results/demo.json -->
    …
    <!-- end -->

Kinds of block: see `unsee.report.blocks`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unsee.evaluation.runs import write_text
from unsee.models.shipped import list_shipped
from unsee.report.blocks import KINDS
from unsee.report.lines import line_chart
from unsee.report.pareto import pareto_svg
from unsee.report.relearning import relearning_svg
from unsee.report.runs import read_run

BLOCK = re.compile(r"<!-- begin (\w+) (\S+) -->\n.*?<!-- end -->", re.DOTALL)
RUNS = ("vanilla", "vkd", "gold")


def collect(demo: Path, output: Path) -> None:
    """Gathers the metrics of a demo's runs into one result file."""
    runs = [read_run(demo / name, name) for name in RUNS if (demo / name).is_dir()]
    found = {run.name: {"title": run.title, "metrics": run.metrics} for run in runs}
    settings = {run.name: run.config for run in runs}
    models = {model.name: model.sha256 for model in list_shipped()}
    result = {"runs": found, "settings": settings, "models": models, "versions": runs[0].versions}
    write_text(output, json.dumps(result, indent=2, ensure_ascii=False) + "\n")


def probe_svg(result: dict[str, Any], what: str) -> str:
    """What a linear probe reads at each layer: by the name of a column, as a chart."""
    rows = result["rows"]
    layers = list(dict.fromkeys(row["layer"] for row in rows))
    models = dict.fromkeys(row["model"] for row in rows)
    found = {m: [row[what] for row in rows if row["model"] == m] for m in models}
    short = [layer.replace("vision ", "V").replace("language ", "W") for layer in layers]
    return line_chart(
        f"Probe, {what}", found, [s.replace("projector", "P") for s in short], "layer"
    )


def drawn(result: dict[str, Any], what: str) -> str:
    """The figure of a study."""
    study = result["about"].get("study")
    if study == "probe":
        return probe_svg(result, what)
    if study == "ablation of VKD":
        return pareto_svg(result["rows"], what)
    return relearning_svg(result, what)


def filled(text: str, root: Path) -> str:
    """The text with every block made anew from its result file, named from `root`."""

    def block(match: re.Match[str]) -> str:
        kind, name = match.groups()
        table = KINDS[kind](json.loads((root / name).read_text(encoding="utf-8")))
        return f"<!-- begin {kind} {name} -->\n{table.strip()}\n<!-- end -->"

    return BLOCK.sub(block, text)


def main(words: Sequence[str]) -> int:
    """Runs `collect`, `fill` or `draw`."""
    if len(words) == 3 and words[0] == "collect":
        collect(Path(words[1]), Path(words[2]))
    elif len(words) >= 2 and words[0] == "fill":
        for page in map(Path, words[1:]):
            write_text(page, filled(page.read_text(encoding="utf-8"), Path.cwd()))
    elif len(words) == 4 and words[0] == "draw":
        result = json.loads(Path(words[1]).read_text(encoding="utf-8"))
        write_text(Path(words[3]), drawn(result, words[2]))
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
