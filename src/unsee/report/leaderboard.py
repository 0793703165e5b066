"""The leaderboard of `unsee compare`: methods over seeds, as markdown and as a page; and what
`unsee tune` found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unsee.evaluation.metrics import GAP_GROUPS
from unsee.evaluation.runs import write_text
from unsee.report.page import document
from unsee.report.words import MISSING, decimal, esc, percent_cell
from unsee.studies.compare import summary
from unsee.studies.tune import best, trials_of

RATES = {
    "forget/vqa_accuracy": "forget",
    "retain/vqa_accuracy": "retain",
    "lookalike/vqa_accuracy": "look-alikes",
    "visible/vqa_accuracy": "visible",
    "forget/abstain_rate": "“I don't know”",
    "forget/misattribution_rate": "somebody else's facts",
    "stranger/abstain_rate": "strangers: “I don't know”",
    "forget/text_accuracy": "text",
}
TITLE = "{} % of the known people forgotten"
NOTE = (
    "Accuracies and rates in %, of private facts asked about unseen pictures (text: by name). The "
    "gap to gold is the largest difference of the first four to the model that never saw the "
    "people, in points, with a 95 % interval by a bootstrap over people; JS is the mean "
    "Jensen-Shannon divergence of the option likelihoods to gold's, in bits; KL is the drift of "
    "answers in words. Settings: as `unsee tune` chose them, or the method's defaults. Broken: "
    "retained or visible more than ten points below vanilla."
)


def grid(rows: Sequence[dict[str, Any]], percent: int = 5) -> list[list[str]]:
    """The leaderboard as text: a row of headings, then a row a method."""
    head = ["method", "fidelity", "settings", "seeds", "gap to gold", *RATES.values(), "JS", "KL"]
    lines = [[*head, "seconds", "peak MB", "trained"]]
    for line in summary(rows, percent):
        if line["failed"] and not line["seeds"]:
            name = f"{line['method']} (failed: {line['failed']})"
            told = [name, line["fidelity"], line["settings"]]
            lines.append([*told, *[MISSING] * (len(lines[0]) - len(told))])
            continue
        name = line["method"] + (" (broken)" if line["broken"] else "")
        if line["failures"]:
            total = line["failures"] + line["seeds"]
            name += f" (failed: {line['failures']} of {total} seeds)"
        gap = line.get("gap")
        trained = line["trained_parameters"]
        lines.append(
            [
                name,
                line["fidelity"],
                line["settings"],
                str(line["seeds"]),
                f"{gap[0]:.1f} [{gap[1]:.1f}, {gap[2]:.1f}]" if gap else MISSING,
                *(percent_cell(line[key]) for key in RATES),
                decimal(line["js_to_gold"], 3),
                decimal(line["text_kl"], 4),
                decimal(line["seconds"], 0),
                decimal(line["peak_memory_mb"], 0),
                MISSING if trained is None else f"{trained / 1e6:.2f} M",
            ]
        )
    return lines


def leaderboard_table(result: Mapping[str, Any], percent: int = 5) -> str:
    """Markdown table of the rows of `unsee compare`."""
    head, *body = ([cell.replace("|", "\\|") for cell in x] for x in grid(result["rows"], percent))
    rule = ["---", "---", "---", *("---:" for _ in head[3:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *body])


def _page(rows: Sequence[dict[str, Any]], sizes: Sequence[int]) -> str:
    sections = "".join(_section(rows, size) for size in sizes)
    text = f"<header><h1>Methods side by side</h1></header>{sections}<p>{esc(NOTE)}</p>"
    return document("Methods side by side", NOTE, text)


def _section(rows: Sequence[dict[str, Any]], percent: int) -> str:
    head, *body = grid(rows, percent)
    heads = "".join(f'<th scope="col">{esc(cell)}</th>' for cell in head)
    lines = "".join(
        f'<tr><th scope="row">{esc(name)}</th>{"".join(f"<td>{esc(c)}</td>" for c in cells)}</tr>'
        for name, *cells in body
    )
    table = f"<thead><tr>{heads}</tr></thead><tbody>{lines}</tbody>"
    title = esc(TITLE.format(percent))
    return f'<section><h2>{title}</h2><div class="scroll"><table>{table}</table></div></section>'


def write_leaderboard(folder: Path, rows: Sequence[dict[str, Any]], percent: int = 5) -> str:
    """Writes `leaderboard.md` and `leaderboard.html`, whole or not at all: a table for each size of
    the forget set that there are rows of.

    Returns:
        The table of one size in markdown.
    """
    sizes = sorted({percent, *(row["forget_ratio"] for row in rows)})
    tables = {size: leaderboard_table({"rows": rows}, size) for size in sizes}
    parts = [f"## {TITLE.format(size)}\n\n{table}" for size, table in tables.items()]
    write_text(folder / "leaderboard.md", "\n\n".join([*parts, NOTE]) + "\n")
    write_text(folder / "leaderboard.html", _page(rows, sizes))
    return tables[percent]


def tuning_table(result: Mapping[str, Any]) -> str:
    """Markdown table of what `unsee tune` found: a row a method, the best first."""
    trials = [row for row in result["rows"] if "trial" in row]
    found = []
    for method in dict.fromkeys(row["method"] for row in trials):
        of_method = trials_of(trials, method)
        ran = [row for row in of_method if "failed" not in row]
        if ran:
            found.append((best(ran, method), of_method, ran))
    lines = [
        "| method | gap to gold, defaults | chosen | forget | retain | look-alikes | visible | "
        "trials, of them broken or failed | longest run (s) | chosen settings |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for chosen, of_method, ran in sorted(found, key=lambda one: one[0]["criterion"]):
        first = next((row for row in ran if row["trial"] == 0), None)
        bad = sum(row["broken"] for row in of_method)
        cells = [chosen["method"], _gap_of(first), _gap_of(chosen)]
        cells += [percent_cell(chosen[f"{group}/vqa_accuracy"]) for group in GAP_GROUPS]
        cells += [f"{len(of_method)}, {bad}", f"{max(row['seconds'] for row in ran):.0f}"]
        options = (f"{name} {value}" for name, value in chosen["options"].items())
        lines.append("| " + " | ".join([*cells, ", ".join(options)]) + " |")
    return "\n".join(lines)


def _gap_of(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return MISSING
    return f"{row['gold_gap']:.1f}" + (" (broken)" if row["broken"] else "")
