"""The comparison of runs as a table: plain for the terminal, markdown for the docs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from unsee.evaluation.metrics import gold_gap
from unsee.report.runs import GOLD, VANILLA, Run, is_broken
from unsee.report.words import MISSING, decimal, percent_cell

NOTE = (
    "Accuracies and rates in %, the gap to gold in points. VQA: private facts asked about unseen "
    "pictures; text: the same facts asked by name."
)


@dataclass(frozen=True)
class Column:
    """One column: its heading, and how a run's cell is written."""

    heading: str
    cell: Callable[[Run, Run | None], str]


def _rate(key: str) -> Callable[[Run, Run | None], str]:
    return lambda run, gold: percent_cell(run.number(key))


def _identical(run: Run, gold: Run | None) -> str:
    value = run.metrics.get("text_logits_identical")
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else MISSING


def _gap(run: Run, gold: Run | None) -> str:
    """As measured; where a run does not state it, from its groups and gold's."""
    if run.name == GOLD:
        return MISSING
    gap = run.number("gold_gap")
    if gap is None and gold is not None:
        try:
            gap = gold_gap(run.metrics, gold.metrics)
        except (KeyError, TypeError):
            return MISSING
    return decimal(gap, 1)


COLUMNS = (
    Column("forget VQA", _rate("forget/vqa_accuracy")),
    Column("retain VQA", _rate("retain/vqa_accuracy")),
    Column("look-alikes", _rate("lookalike/vqa_accuracy")),
    Column("visible", _rate("visible/vqa_accuracy")),
    Column("forget text", _rate("forget/text_accuracy")),
    Column("retain text", _rate("retain/text_accuracy")),
    Column("abstain (forget)", _rate("forget/abstain_rate")),
    Column("misattributed (forget)", _rate("forget/misattribution_rate")),
    Column("text logits identical", _identical),
    Column("gold gap (points)", _gap),
    Column("seconds", lambda run, gold: decimal(run.number("seconds"), 1)),
    Column("peak MB", lambda run, gold: decimal(run.number("peak_memory_mb"), 0)),
)


def ordered(runs: Sequence[Run]) -> list[Run]:
    """Vanilla, the unlearned models, gold; what is broken comes last, whatever else it does."""
    vanilla = next((run for run in runs if run.name == VANILLA), None)
    place = {VANILLA: 0, GOLD: 2}
    return sorted(runs, key=lambda run: 3 if is_broken(run, vanilla) else place.get(run.name, 1))


def grid(runs: Sequence[Run], gold: str | None) -> list[list[str]]:
    """The table as text: a row of headings, then a row for each run, its name first.

    Args:
        runs: what to compare.
        gold: name of the run that gaps are measured to; None: no gap is computed.
    """
    vanilla = next((run for run in runs if run.name == VANILLA), None)
    golden = next((run for run in runs if run.name == gold), None) if gold else None
    lines = [["run", *(column.heading for column in COLUMNS)]]
    for run in ordered(runs):
        name = f"{run.name} (broken)" if is_broken(run, vanilla) else run.name
        lines.append([name, *(column.cell(run, golden) for column in COLUMNS)])
    return lines


def comparison(runs: Sequence[Run], gold: str | None, width: int | None = None) -> str:
    """A table for the terminal; columns that don't fit side by side go below.

    Args:
        runs: what to compare; `vanilla` comes first, `gold` last.
        gold: name of the run that gaps are measured to; None where there is none.
        width: characters a line; None: as wide as the terminal (120 where there is none).
    """
    width = width or shutil.get_terminal_size((120, 24)).columns
    columns = [list(column) for column in zip(*grid(runs, gold), strict=True)]
    first, *others = [_column(column, left=not number) for number, column in enumerate(columns)]
    blocks: list[list[list[str]]] = []
    for column in others:
        if blocks and len("  ".join(c[0] for c in [*blocks[-1], column])) <= width:
            blocks[-1].append(column)
        else:
            blocks.append([first, column])
    tables = []
    for block in blocks:
        lines = ["  ".join(cells).rstrip() for cells in zip(*block, strict=True)]
        tables.append("\n".join(line for line in lines if line))
    return "\n\n".join([*tables, NOTE if width >= len(NOTE) else NOTE.replace(". ", ".\n")]) + "\n"


def _column(cells: list[str], left: bool) -> list[str]:
    """Cells of one width: the heading on as many lines as the highest, a rule, the values."""
    words = _heading(cells[0])
    highest = max(len(_heading(column.heading)) for column in COLUMNS)
    words = [""] * (highest - len(words)) + words
    wide = max(map(len, [*words, *cells[1:]]))
    lines = [*words, "-" * wide, *cells[1:]]
    return [line.ljust(wide) if left else line.rjust(wide) for line in lines]


def _heading(text: str) -> list[str]:
    return text.replace("-", "- ").split()


def markdown(runs: Sequence[Run], gold: str | None) -> str:
    """The same table in markdown, for docs that are written from results."""
    head, *body = [[cell.replace("|", "\\|") for cell in line] for line in grid(runs, gold)]
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *body]) + f"\n\n{NOTE}\n"
