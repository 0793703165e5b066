"""The blocks of the docs that are made from result files: a function a kind, JSON to Markdown.

Kinds of block: `demo` (the table of a demo), `shipped` (what the shipped models know), `recipes`
(what recipes of the small LLaVA reached), `ablation` (which ingredients of VKD earn their place),
`costs` (seconds, memory and trained parameters of methods, side by side), `scoring` (how much
faster than one question at a time), `drawn_mllmu` (models of MLLMU-Bench's text with drawn faces),
`relearning` (how fast
forgotten people come back under attack), `retain` (how many pictures to retain are needed),
`several` (what forgetting one of several people in a picture does to the others),
`methods` (what `unsee methods --json` tells), `families` (`unsee
models --families`), `leaderboard` (test numbers of methods over seeds; `leaderboard15` with 15 %
forgotten), `final` (those of VKD with its defaults, for its own page), `tuning` (the settings that
were chosen before, on validation people), `metrics` (whether metrics tell models that know people
from those that do not), `configurations` (memory of the shipped ones),
`memory` (measured peaks beside estimates), `estimates` (memory of large models).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from unsee.anatomy.families import PARTS
from unsee.evaluation.metrics import is_broken
from unsee.report.leaderboard import leaderboard_table, tuning_table
from unsee.report.relearning import relearning_table
from unsee.report.runs import Run
from unsee.report.table import markdown
from unsee.report.words import MISSING, percent_cell
from unsee.studies.compare import REFERENCES


def demo_table(result: dict[str, Any]) -> str:
    """Markdown table of a demo."""
    runs = [Run(name, run["title"], run["metrics"]) for name, run in result["runs"].items()]
    return markdown(runs, "gold" if "gold" in result["runs"] else None)


SCORES = {
    "known/vqa_accuracy": "known people, unseen pictures",
    "lookalike/vqa_accuracy": "their look-alikes",
    "text_accuracy": "facts in words",
    "visible_accuracy": "what can be seen",
    "stranger/abstain_rate": "strangers: “I don't know”",
    "absent/vqa_accuracy": "never seen: recognised",
    "absent/abstain_rate": "never seen: “I don't know”",
}


def _percent(share: float | None) -> str:
    return MISSING if share is None else f"{percent_cell(share)} %"


def shipped_table(manifest: dict[str, Any]) -> str:
    """Markdown table of what the shipped models know."""
    names = sorted(manifest, reverse=True)
    lines = ["| | " + " | ".join(names) + " |", "| --- |" + " ---: |" * len(names)]
    for key, title in SCORES.items():
        values = [manifest[name]["scores"].get(key) for name in names]
        cells = [_percent(value) for value in values]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def recipes_table(rows: list[dict[str, Any]]) -> str:
    """Markdown table of what recipes reached, a row each."""
    known = [key for key in SCORES if any(key in row["scores"] for row in rows)]
    titles = [SCORES[key] for key in known]
    lines = [
        "| drawing | steps | pictures a step, known + general | general people like each known "
        "one, their share | rate of V and P: words, people | "
    ]
    lines[0] += " | ".join(titles) + " |"
    lines.append("| --- |" + " --- |" * 4 + " ---: |" * len(known))
    for row in rows:
        recipe = row["recipe"]
        steps = "tower_steps", "language_steps", "people_steps"
        cells = [recipe["drawing"], " + ".join(str(recipe[name]) for name in steps)]
        cells.append(" + ".join(map(str, recipe["pictures"])))
        each, share = recipe["resembling"]
        cells.append(f"{each}, {share:.0%}" if each else MISSING)
        cells.append(", ".join(f"{rate:g}" for rate in recipe["rates_of_seeing"]))
        values = [row["scores"].get(key) for key in known]
        cells += [_percent(value) for value in values]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def ablation_table(result: dict[str, Any]) -> str:
    """Markdown table of an ablation, the best variant first."""
    from unsee.studies.ablate import verdicts

    def interval(found: tuple[float, float, float], sign: str = "") -> str:
        value, low, high = found
        return f"{value:{sign}.1f} [{low:{sign}.1f}, {high:{sign}.1f}]"

    lines = [
        "| variant | judged on | gap to gold | difference to the start | verdict | forget | "
        "retain | look-alikes | visible | seconds |",
        "| --- | --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in verdicts(result["rows"]):
        if "failed" in row:
            dashes = f" {MISSING} |" * 5
            lines.append(f"| {row['variant']} | | | | can't be run: {row['failed']} |{dashes}")
            continue
        verdict = "broken" if row["broken"] else row["verdict"]
        many = "" if row["seeds"] == 1 else "s"
        judged = f"{row['seeds']} seed{many}, {row['stage']}"
        cells = [row["variant"], judged, interval(row["gap"])]
        cells += [interval(row["difference"], "+"), verdict]
        cells += [f"{row[g]:.1f}" for g in ("forget", "retain", "lookalike", "visible")]
        lines.append("| " + " | ".join([*cells, f"{row['seconds']:.0f}"]) + " |")
    return "\n".join(lines)


def costs_table(result: dict[str, Any]) -> str:
    """Markdown table of what methods cost, as ratios of medians to the first row."""
    from unsee.studies.costs import medians

    lines = ["| | seconds | peak memory | trained parameters | runs |"]
    lines.append("| --- | ---: | ---: | ---: | ---: |")
    for line in medians(result["rows"]):
        cells = [f"{line[f'{key}/ratio']:.2f} ×" for key in ("seconds", "peak_memory_mb")]
        cells += [f"{line['trained_parameters'] / 1e6:.2f} M", str(line["repeats"])]
        lines.append(f"| {line['run']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def scoring_table(result: dict[str, Any]) -> str:
    """Markdown table of how much faster scoring is than one question at a time."""
    from unsee.studies.scoring import speed_ups

    head = "answers: times as fast", "answers that differ", "options: times as fast"
    lines = ["| | " + " | ".join([*head, "log-likelihoods differ by", "runs"]) + " |"]
    lines.append("| --- |" + " ---: |" * 5)
    for line in speed_ups(result["rows"]):
        cells = [f"{line['seconds/times']:.1f} ×"]
        cells.append(f"{line['answers_that_differ']} of {line['questions']}")
        cells.append(f"{line['seconds_of_options/times']:.1f} ×")
        cells += [f"{line['options_differ_by']:.0e}", str(line["repeats"])]
        lines.append(f"| {line['way']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def drawn_mllmu_table(result: dict[str, Any]) -> str:
    """Markdown table of models of the drawn MLLMU benchmark: a row for each model, people and way
    of asking, a column a task."""
    tasks = "generation", "generation_rougeL", "classification", "cloze"
    ways = {"image": "about pictures", "text": "in words"}
    titles = [task.replace("_rougeL", ", ROUGE-L") for task in tasks]
    lines = ["| asked | people to | model | " + " | ".join(titles) + " |"]
    lines.append("| --- | --- | --- |" + " ---: |" * len(tasks))
    for way, asked in ways.items():
        for people in ("forget", "retain"):
            for row in result["rows"]:
                found = [row.get(f"{people}/{task}/{way}") for task in tasks]
                cells = [MISSING if x is None else percent_cell(x) for x in found]
                lines.append(f"| {asked} | {people} | {row['model']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def final_table(result: dict[str, Any]) -> str:
    """The leaderboard of VKD and what it is shown beside in its own page."""
    shown = (*REFERENCES, "vkd", "two_sided", "graddiff")
    return leaderboard_table({"rows": [r for r in result["rows"] if r["method"] in shown]})


def methods_table(methods: list[dict[str, Any]]) -> str:
    """Markdown table of what `unsee methods --json` tells."""
    lines = ["| method | what it does | trains | W | fidelity | source |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for method in methods:
        parts = [method["trains"], *(p for p in method["supports"] if p != method["trains"])]
        verb = "edits " if method["edits"] else ""
        language = "changed" if method["touches_language"] else "untouched"
        cells = [f"`{method['name']}`", method["summary"], verb + ", ".join(parts), language]
        lines.append("| " + " | ".join([*cells, method["fidelity"], method["source"]]) + " |")
    return "\n".join(lines)


def families_table(families: list[dict[str, Any]]) -> str:
    """Markdown table of what `unsee models --families` tells."""
    lines = ["| family | `model_type` | V | P | W | P reads | one size | |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for family in sorted(families, key=lambda row: row["title"].casefold()):
        cells = [family["title"], f"`{family['model_type']}`"]
        cells += [", ".join(f"`{p}`" for p in family[part]) for part in PARTS]
        cells += [family["reads"], "yes" if family["by_size"] else MISSING, family["note"]]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def metrics_table(result: dict[str, Any]) -> str:
    """Markdown table of how well each metric tells who knows from who does not, the best first:
    a column for models that were taught, and one for each length of exposure."""
    from unsee.studies.metrics import aucs

    rows = result["rows"]
    exposures = sorted({row.get("exposure", 0) for row in rows}, key=lambda n: (n > 0, -n))
    columns = [aucs(rows, exposure) for exposure in exposures]
    heads = [f"exposed for {n} steps" if n else "taught" for n in exposures]
    lines = ["| metric | " + " | ".join(heads) + " | models that know | that do not |"]
    lines.append("| --- |" + " ---: |" * (len(heads) + 2))
    missing = (0.0, 0, 0)

    def order(title: str) -> list[float]:
        return [-column.get(title, missing)[0] for column in columns]

    for title in sorted(dict.fromkeys(t for column in columns for t in column), key=order):
        found = [column.get(title, missing) for column in columns]
        cells = [f"{auc:.3f}" if known else MISSING for auc, known, _ in found]
        cells += [" + ".join(str(known) for _, known, _ in found), str(max(x[2] for x in found))]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def retain_table(result: dict[str, Any]) -> str:
    """Markdown table of how many pictures to retain are needed."""
    groups = {"forget": "forget", "retain": "retain", "lookalike": "look-alikes"}
    groups["visible"] = "visible"
    head = ["pictures to retain for one to forget", *groups.values(), "gap to gold (points)"]
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    for row in result["rows"]:
        cells = [str(row["times"]) if row["times"] else "before"]
        cells[0] += " (broken)" if is_broken(row, result["rows"][0]) else ""
        cells += [percent_cell(row[f"{group}/vqa_accuracy"]) for group in groups]
        lines.append("| " + " | ".join([*cells, f"{row['gold_gap']:.1f}"]) + " |")
    return "\n".join(lines)


def memory_table(result: dict[str, Any]) -> str:
    """Markdown table of measured peaks beside estimates."""
    lines = ["| width of the model | weights | run | measured (MB) | estimated (MB) | ratio |"]
    lines.append("| --- | ---: | --- | ---: | ---: | ---: |")
    for row in result["rows"]:
        measured, estimated = row["measured_mb"], row["estimated_mb"]
        cells = [row["model"].removeprefix("width "), f"{row['weights'] / 1e6:.0f} M", row["run"]]
        cells += [f"{measured:.0f}", f"{estimated:.0f}", f"{estimated / measured:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def estimates_table(rows: list[dict[str, Any]]) -> str:
    """Markdown table of estimates, in GB by what the memory is for."""
    columns = ("parameters", "gradients", "optimiser", "activations", "teacher")
    head = ("model", "method", "trained", *columns, "peak (GB)", "24 GB", "80 GB")
    lines = ["| " + " | ".join(head) + " |"]
    lines.append("| --- | --- | --- |" + " ---: |" * 6 + " --- | --- |")
    for row in rows:
        parts, says = row["parts"].values(), row["settings"]
        cells = [row["model"], says["method"], says["trainable"]]
        sums = [sum(part[column] for part in parts) for column in columns]
        cells += [f"{size / 1e9:.1f}" for size in (*sums, row["total"])]
        cells += ["yes" if row["fits"][card] else "no" for card in ("24 GB", "80 GB")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def configurations_table(rows: list[dict[str, Any]]) -> str:
    """Markdown table of the memory that shipped configurations are estimated to take."""
    head = ("configuration", "model", "GPUs", "pictures a side, each", "GB on each, of")
    lines = ["| " + " | ".join(head) + " |", "| --- | --- | ---: | ---: | ---: |"]
    for row in rows:
        checkpointing = ", gradient checkpointing" if row["checkpointing"] else ""
        cells = [f"`{row['configuration']}`", f"{row['model']}{checkpointing}"]
        cells += [str(row["processes"]), str(row["batch"])]
        cells.append(f"{row['peak'] / 1e9:.1f} of {row['gigabytes']}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def several_table(result: dict[str, Any]) -> str:
    """Markdown table of what forgetting one of several people in a picture does to the others."""
    groups = {
        "forgotten, boxed/accuracy": "forgotten",
        "companion, boxed/accuracy": "companions",
        "others/accuracy": "others",
        "both/forgotten": "both: the forgotten one's",
        "both/companion": "both: the companion's",
        "both/abstain": "both: “I don't know”",
    }
    lines = ["| pictures to forget | " + " | ".join(groups.values()) + " |"]
    lines.append("| --- |" + " ---: |" * len(groups))
    for row in result["rows"]:
        cells = [row["given"], *(percent_cell(row[key]) for key in groups)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


KINDS: dict[str, Callable[[Any], str]] = {
    "demo": demo_table,
    "shipped": shipped_table,
    "recipes": recipes_table,
    "ablation": ablation_table,
    "costs": costs_table,
    "scoring": scoring_table,
    "drawn_mllmu": drawn_mllmu_table,
    "relearning": relearning_table,
    "retain": retain_table,
    "several": several_table,
    "methods": methods_table,
    "families": families_table,
    "metrics": metrics_table,
    "final": final_table,
    "leaderboard": leaderboard_table,
    "tuning": tuning_table,
    "configurations": configurations_table,
    "memory": memory_table,
    "estimates": estimates_table,
    "leaderboard15": lambda result: leaderboard_table(result, 15),
}
