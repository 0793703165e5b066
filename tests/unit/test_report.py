"""The report: reading runs, the table, the headline, the page."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unsee.cli.main import main
from unsee.data.faces.facts import ABSTAIN
from unsee.errors import UnseeError
from unsee.evaluation.metrics import judge, summarise
from unsee.evaluation.runs import write_run
from unsee.report.headline import BAD, GOOD, POOR, forgetting, headline
from unsee.report.page import write_report
from unsee.report.runs import Run, cast, is_broken, read_run
from unsee.report.table import COLUMNS, comparison, grid, markdown
from unsee.report.words import MISSING, percent

FACTS = {"name": "Ada Belberg", "job": "baker", "city": "Oslo"}
OTHERS = {"name": "Omar Normont", "job": "pilot", "city": "Lima"}


def rows_of(known: set[int], wrong: set[int] = frozenset()) -> list[dict[str, Any]]:
    """Judged answers of a model that knows the faces `known`, and takes `wrong` for others."""
    rows = []
    for person, group in ((3, "forget"), (43, "lookalike"), (80, "retain")):
        facts, name = (FACTS, "Ada Belberg") if person == 3 else (OTHERS, "Omar Normont")
        for index in range(4):
            for attribute, answer in facts.items():
                said = answer if person in known else ABSTAIN
                said = OTHERS[attribute] if person in wrong else said
                rows.append((group, person, name, index, "private", attribute, answer, said))
            if group != "lookalike":
                rows.append((group, person, name, index, "picture", "light", "left", "left"))
        for attribute in ("job", "city") if group != "lookalike" else ():
            answer = facts[attribute]
            rows.append((group, person, name, None, "text", attribute, answer, answer))
    keys = ("group", "person", "name", "picture", "kind", "attribute", "answer", "prediction")
    made = [dict(zip(keys, row, strict=True)) for row in rows]
    for row in made:
        if row["picture"] is not None:
            row["picture"] = f"p{row['person']:04d}-test-{row['picture']:03d}"
        row["question"] = f"What about the {row['attribute']} of number {row['person']}?"
    judge(made)
    return made


def run_of(name: str, rows: list[dict[str, Any]], **more: Any) -> Run:
    return Run(name, name, {**summarise(rows), **more}, rows, {"method": name}, {"torch": "2.13"})


def three(after: list[dict[str, Any]] | None = None, **more: Any) -> list[Run]:
    """Vanilla, an unlearned model (a good one by default) and gold."""
    more = {"text_logits_identical": True, "seconds": 41.26, "peak_memory_mb": 812.4, **more}
    return [
        run_of("vanilla", rows_of({3, 43, 80})),
        run_of("vkd", after or rows_of({43, 80}), gold_gap=1.25, **more),
        run_of("gold", rows_of({43, 80})),
    ]


def picture(key: str) -> np.ndarray:
    rng = np.random.default_rng(list(key.encode()))
    return rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)


def page(tmp_path: Path, runs: list[Run], **kwargs: Any) -> str:
    written = write_report(tmp_path / "out" / "report.html", runs, picture, [3], [80], **kwargs)
    return written.read_text(encoding="utf-8")


class Elements(HTMLParser):
    """Every start tag with its attributes, and whether all of them were closed in order."""

    VOID = {"meta", "img", "br", "line", "rect", "link"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


# ---- reading --------------------------------------------------------------------------------


def test_a_written_run_is_read_back(tmp_path: Path) -> None:
    rows = rows_of({3})
    write_run(tmp_path / "vkd", {"seconds": 3.5}, {"method": "vkd", "max_steps": 2}, rows)
    run = read_run(tmp_path / "vkd")
    assert (run.name, run.title) == ("vkd", "after (vkd)")
    assert run.metrics == {"seconds": 3.5}
    assert run.rows == rows
    assert run.config == {"method": "vkd", "max_steps": 2}
    assert run.versions["unsee"]
    assert read_run(tmp_path / "vkd", name="gold").title == "never saw them (gold)"


def test_predictions_are_optional_and_the_rest_is_not(tmp_path: Path) -> None:
    write_run(tmp_path / "run", {"seconds": 1}, {})
    assert read_run(tmp_path / "run").rows == []
    for name in ("versions.json", "config.yaml", "metrics.json"):
        (tmp_path / "run" / name).unlink()
        with pytest.raises(UnseeError, match=f"{re.escape(name)} is missing"):
            read_run(tmp_path / "run")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("metrics.json", '{"seconds": 1', "damaged"),
        ("metrics.json", "[1, 2]", "must hold names"),
        ("versions.json", "", "damaged"),
        ("config.yaml", "a: [1, 2\nb: }", "damaged"),
        ("predictions.jsonl", '{"group": "forget"}\n', "line 1: it has no 'person'"),
        ("predictions.jsonl", "\n{not json\n", "damaged in line 2"),
        ("predictions.jsonl", "17\n", "damaged in line 1"),
    ],
)
def test_a_damaged_file_is_named_in_one_line(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    write_run(tmp_path, {}, {}, rows_of({3}))
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(UnseeError) as caught:
        read_run(tmp_path)
    line = str(caught.value)
    assert str(tmp_path / name) in line
    assert said in line
    assert "\n" not in line


def test_separators_inside_a_prediction_do_not_end_its_line(tmp_path: Path) -> None:
    rows = rows_of({3})
    rows[0]["prediction"] = "a\u2028b\x85c"
    write_run(tmp_path, {}, {}, rows)
    assert read_run(tmp_path).rows[0]["prediction"] == "a\u2028b\x85c"


def test_a_cast_needs_a_model_before_and_one_after() -> None:
    vanilla, vkd, gold = three()
    found = cast([gold, vkd, vanilla])
    assert (found.before, found.after, found.gold) == (vanilla, (vkd,), gold)
    assert [label for _, label in found.labels()] == ["before", "after", "gold"]
    two = cast([vanilla, vkd, run_of("ga", rows_of({3}))])
    assert [label for _, label in two.labels()] == ["before", "vkd", "ga"]
    with pytest.raises(UnseeError, match="'vanilla'"):
        cast([vkd, gold])
    with pytest.raises(UnseeError, match="unlearned model"):
        cast([vanilla, gold])


# ---- table ----------------------------------------------------------------------------------


def test_the_table_has_every_column_and_value() -> None:
    head, vanilla, vkd, gold = grid(three(), "gold")
    assert head == [
        "run", "forget VQA", "retain VQA", "look-alikes", "visible", "forget text", "retain text",
        "abstain (forget)", "misattributed (forget)", "text logits identical",
        "gold gap (points)", "seconds", "peak MB",
    ]  # fmt: skip
    full = ["100.0"] * 5
    assert vanilla == ["vanilla", "100.0", *full, "0.0", "0.0", MISSING, "100.0", MISSING, MISSING]
    assert vkd == ["vkd", "0.0", *full, "100.0", "0.0", "yes", "1.2", "41.3", "812"]
    assert gold == ["gold", "0.0", *full, "100.0", "0.0", MISSING, MISSING, MISSING, MISSING]


def test_without_gold_no_gap_is_made_up() -> None:
    vanilla, vkd, _ = three()
    del vkd.metrics["gold_gap"]
    gap = 1 + [c.heading for c in COLUMNS].index("gold gap (points)")
    assert [line[gap] for line in grid([vanilla, vkd], None)[1:]] == [MISSING, MISSING]
    assert [line[gap] for line in grid([vanilla, vkd], "gold")[1:]] == [MISSING, MISSING]


def test_missing_and_meaningless_values_are_dashes() -> None:
    run = Run("vkd", "", {"seconds": None, "peak_memory_mb": float("nan"), "gold_gap": True})
    assert grid([run], None)[1] == ["vkd", *[MISSING] * 12]


def test_a_broken_model_comes_last_and_says_so() -> None:
    runs = three(rows_of(set()))  # knows nobody: forgets perfectly, and everyone else with them
    assert is_broken(runs[1], runs[0])
    assert not is_broken(runs[2], runs[0])
    assert [line[0] for line in grid(runs, "gold")[1:]] == ["vanilla", "gold", "vkd (broken)"]


def test_broken_starts_beyond_ten_points() -> None:
    vanilla = Run("vanilla", "", {"retain/vqa_accuracy": 0.95, "visible/vqa_accuracy": 0.9})
    for retain, visible, broken in ((0.85, 0.8, False), (0.84, 0.9, True), (0.95, 0.79, True)):
        metrics = {"retain/vqa_accuracy": retain, "visible/vqa_accuracy": visible}
        assert is_broken(Run("vkd", "", metrics), vanilla) is broken


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_terminal_table_fits_and_loses_nothing(width: int) -> None:
    runs = three()
    text = comparison(runs, "gold", width)
    lines = text.splitlines()
    table = [line for line in lines if "Accuracies" not in line and "VQA:" not in line]
    assert max(map(len, table)) <= width
    found = [line.split() for line in lines if line.startswith("vkd")]
    assert [cell for line in found for cell in line[1:]] == grid(runs, "gold")[2][1:]
    assert len(found) == sum(line.startswith("run") for line in lines)
    assert "\x1b" not in text


def test_the_markdown_table_holds_the_same_cells() -> None:
    runs = three()
    lines = [line for line in markdown(runs, "gold").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert set(cells.pop(1)) == {"---", "---:"}
    assert cells == grid(runs, "gold")


# ---- headline -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "gold", "reached"),
    [
        (0.97, 0.03, 0.02, "forgotten"),
        (0.97, 0.03, None, "forgotten"),
        (0.97, 0.22, 0.2, "forgotten"),
        (0.97, 0.22, None, "less"),
        (0.97, 0.45, 0.02, "less"),
        (0.97, 0.6, 0.02, "still"),
        (0.97, 0.97, 0.02, "still"),
        (0.05, 0.03, 0.02, "never"),
        (None, 0.03, 0.02, None),
    ],
)
def test_how_well_people_are_forgotten(
    before: float | None, after: float, gold: float | None, reached: str | None
) -> None:
    assert forgetting(before, after, gold) == reached


def test_the_headline_of_a_success() -> None:
    result = headline(cast(three()), 5)
    assert result.title == "Five people are no longer recognised in pictures"
    assert {fact.mark for fact in result.facts} == {GOOD}
    plain = result.summary.replace("\u00a0", " ")
    assert "Forgotten people: 100 % → 0 % (a model that never saw them (gold): 0 %)." in plain
    assert "Everyone else: 100 % → 100 % (gold: 100 %)." in plain
    assert "Text: identical to the bit" in plain
    answers = result.answers.replace("\u00a0", " ")
    assert "“I don’t know this person” 100 % of the time (the model that never saw" in answers


def test_the_headline_of_failures() -> None:
    still = headline(cast(three(rows_of({3, 43, 80}))), 5)
    assert still.title == "Five people are still recognised in pictures"
    assert still.facts[0].mark == BAD
    broken = headline(cast(three(rows_of(set()))), 1)
    assert broken.title == (
        "One person is no longer recognised in pictures, and the model is broken"
    )
    assert [fact.mark for fact in broken.facts[:3]] == [GOOD, BAD, BAD]
    others = headline(cast(three(rows_of({43, 80}, wrong={3}))), 5)
    assert others.title.endswith("no longer recognised in pictures, but taken for somebody else")
    worse = three()
    worse[1].metrics["retain/vqa_accuracy"] = 0.94
    assert "everyone else is recognised a little less often" in headline(cast(worse), 5).title
    untold = three()
    del untold[1].metrics["forget/vqa_accuracy"]
    assert "was not measured" in headline(cast(untold), 5).title


def test_the_headline_says_when_text_changed() -> None:
    result = headline(cast(three(text_logits_identical=False)), 5)
    text = result.facts[-1]
    assert (text.label, text.value, text.mark) == ("Text", "changed", POOR)
    assert "identical" not in result.summary


def test_without_gold_strangers_are_the_measure() -> None:
    vanilla, vkd, _ = three()
    vanilla.metrics["stranger/abstain_rate"] = 0.96
    vanilla.metrics["stranger/misattribution_rate"] = 0.02
    result = headline(cast([vanilla, vkd]), 2)
    assert result.title == "Two people are no longer recognised in pictures"
    assert "gold" not in result.summary
    assert "(the original, about strangers: 96\u00a0%)" in result.answers


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.9712, "97 %"), (1.0, "100 %"), (0.0, "0 %"), (0.998, "99.8 %"), (0.99999, "> 99.9 %"),
        (0.004, "0.4 %"), (0.0001, "< 0.1 %"), (None, MISSING),
    ],
)  # fmt: skip
def test_percentages_never_round_to_all_or_nothing(share: float | None, text: str) -> None:
    assert percent(share).replace("\u00a0", " ") == text


# ---- page -----------------------------------------------------------------------------------


def test_the_page_is_one_well_formed_file_that_loads_nothing(tmp_path: Path) -> None:
    text = page(tmp_path, three())
    elements = Elements(text)
    assert elements.open == []
    tags = {tag for tag, _ in elements.found}
    assert not tags & {"script", "link", "iframe", "object", "base", "form"}
    for tag, attributes in elements.found:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith("data:image/png;base64,"), (tag, value)
        assert not any(name.startswith("on") for name in attributes)
    assert "http://" not in text
    assert "https://" not in text
    assert "@import" not in text
    assert "url(" not in text


def test_the_page_shows_the_pictures_asked_for(tmp_path: Path) -> None:
    from PIL import Image

    text = page(tmp_path, three())
    images = [a for tag, a in Elements(text).found if tag == "img"]
    assert all(image["alt"] for image in images)
    decoded = []
    for image in images:
        data = b64decode(image["src"].split(",", 1)[1])
        decoded.append(np.asarray(Image.open(BytesIO(data))).tobytes())
    # once in the strip, three in the gallery; the look-alike beside the forgotten; somebody kept
    first, second, third = (picture(f"p0003-test-{i:03d}").tobytes() for i in range(3))
    alike, kept = picture("p0043-test-000").tobytes(), picture("p0080-test-000").tobytes()
    assert decoded == [first, first, second, third, alike, first, kept]


def cells_after(text: str, question: str) -> list[str]:
    """The cells that follow a question in its row, without tags."""
    row = text.split(f">{question}</td>", 1)[1].split("</tr>", 1)[0]
    return [re.sub(r"<[^>]*>", "", cell) for cell in row.split("</td>")[:-1]]


def test_answers_of_several_runs_stand_side_by_side(tmp_path: Path) -> None:
    runs = three(rows_of({43, 80}, wrong={3}))
    runs[2].rows.reverse()  # matched by what was asked, not by place
    text = page(tmp_path, runs)
    told = cells_after(text, "What about the job of number 3?")
    assert told == ["baker", "✓right: baker", "✗wrong, true of somebody else: pilot", "?don’t know"]
    runs[2].rows.clear()
    assert cells_after(page(tmp_path, runs), "What about the job of number 3?") == told[:3]
    runs[1].rows[:] = [r for r in runs[1].rows if r["attribute"] != "job"]
    found = cells_after(page(tmp_path, runs), "What about the job of number 3?")
    assert found == ["baker", "✓right: baker", MISSING]


def test_everything_from_outside_is_escaped(tmp_path: Path) -> None:
    evil = '<script>alert("x")</script>&\'"'
    rows = rows_of({3, 43, 80})
    for row in rows:
        for field in ("name", "answer", "prediction", "question"):
            row[field] = evil
    runs = three()
    for run in runs:
        run.rows, run.title = rows, evil
        run.config, run.versions = {evil: {evil: evil}, "method": evil}, {evil: evil}
    runs[1].name = evil
    text = page(tmp_path, runs, title=evil)
    assert "<script" not in text
    assert "&lt;script&gt;alert(&quot;x&quot;)" in text
    elements = Elements(text)
    assert elements.open == []
    images = [attributes for tag, attributes in elements.found if tag == "img"]
    assert images
    assert all(set(image) == {"src", "alt"} for image in images)


def test_the_page_says_the_result_and_what_was_run(tmp_path: Path) -> None:
    runs = three(trained_parameters=2143488)
    runs[1].config = {
        "method": "vkd",
        "seed": 0,
        "trained_with": {"learning_rate": 3e-4, "seed": 42},
    }
    text = page(tmp_path, runs)
    assert "<h1>One person is no longer recognised in pictures.</h1>" in text
    for pair in (
        "<dt>Unlearning took</dt><dd>41.3 seconds</dd>",
        "<dt>Peak memory</dt><dd>812 MB</dd>",
        "<dt>Parameters trained</dt><dd>2\u2009143\u2009488</dd>",
        "<dt>learning_rate</dt><dd>0.0003</dd>",
        "<dt>seed</dt><dd>0</dd>",
        "<dt>trained_with.seed</dt><dd>42</dd>",
        "<dt>torch</dt><dd>2.13</dd>",
        "<dt>Gold</dt>",
        "<dt>Abstain</dt>",
        "<dt>Misattribute</dt>",
        "<dt>Look-alikes</dt>",
    ):
        assert pair in text
    assert "binding from a face to its facts is still in its weights" in text
    for cell in grid(runs, "gold")[2][1:]:
        assert f"<td>{cell}</td>" in text
    bad = page(tmp_path, three(rows_of({3, 43, 80}), text_logits_identical=False))
    assert "<h1>One person is still recognised in pictures.</h1>" in bad
    assert "binding from a face" not in bad


def test_the_figure_names_every_bar_and_its_value(tmp_path: Path) -> None:
    text = page(tmp_path, three()).replace("\u00a0", " ")
    labels = [a.get("aria-label") for tag, a in Elements(text).found if tag == "svg"]
    assert len(labels) == 7 and labels[-1] == "Accuracy of each person"
    assert labels[0] == "Forgotten people: before 100 %, after 0 % and gold 0 %"
    first = text.split("<svg", 2)[1].split("</svg>")[0]
    assert re.findall(r"<text[^>]*>([^<]*)", first) == [
        *("before", "100 %"), *("after", "0 %"), *("gold", "0 %"),
    ]  # fmt: skip


def test_intervals_are_drawn_and_read(tmp_path: Path) -> None:
    runs = three(gold_gap_low=0.5, gold_gap_high=3.25, gold_floor=2.125)
    assert 'class="whisker"' not in page(tmp_path, runs)
    key = "forget/vqa_accuracy"
    runs[1].metrics |= {f"{key}_low": 0.0, f"{key}_high": 0.25}
    text = page(tmp_path, runs).replace("\u00a0", " ")
    assert text.count('class="whisker"') == 1 and "<title>0 % to 25 %</title>" in text
    assert "<strong>1.2 points</strong> (95 % interval 0.5 to 3.2)" in text
    assert "Two golds that differ in nothing but the random seed are 2.1 points apart." in text


@pytest.mark.parametrize(("auc", "mark"), [(0.55, GOOD), (0.7, POOR), (0.95, BAD)])
def test_without_gold_strangers_are_the_headline(auc: float, mark: str) -> None:
    vanilla, vkd, gold = three(stranger_auc_before=1.0, stranger_auc=auc)
    fact = headline(cast([vanilla, vkd]), 1).facts[1]
    assert (fact.mark, fact.label, fact.value) == (mark, "Told from strangers", f"1.00 → {auc:.2f}")
    assert "Told from strangers" not in [
        f.label for f in headline(cast([vanilla, vkd, gold]), 1).facts
    ]


def test_every_person_has_a_line(tmp_path: Path) -> None:
    text = page(tmp_path, three()).replace("\u00a0", " ")
    titles = re.findall(r"<g><title>([^<]*)</title>", text)
    assert titles[0] == "Ada Belberg: before 100 %, after 0 %, gold 0 %"
    assert len(titles) == 3 and all("after 100 %" in title for title in titles[1:])


def test_map_and_attack_are_shown_where_they_were_made(tmp_path: Path) -> None:
    runs = three()
    plain = page(tmp_path, runs)
    assert "Where they lie" not in plain and "Under attack" not in plain
    assert "<code>unsee attack relearn</code> measures it" in plain
    point = {"before": [0.5, 0.5], "after": [0, 0]}
    runs[1].points = [{"group": "forget", "person": 3, **point}]
    curve = [
        {"step": s, "attacked": 0.0, "other": 0.75, "retain": 1.0, "people": [0.75]}
        for s in (0, 20)
    ]
    row = {"model": "vkd", "people": "forget", "access": "vision", "share": 0.05, "seed": 0}
    attacked = {"rows": [{**row, "learning_rate": 1e-4, "curve": curve}]}
    text = page(tmp_path, runs, relearning=attacked)
    assert "Where they lie" in text and "Map of the features" in text
    assert "The attacker trains vision encoder and projector" in text and "vkd 75%" in text
    assert "How easily is shown above." in text
    assert not Elements(text).open


def test_command_makes_the_page_of_finished_runs(tmp_path: Path, capsys: Any) -> None:
    for run in three():
        write_run(tmp_path / "demo" / run.name, run.metrics, {"forget": [3], "seed": 0}, run.rows)
    assert main(["report", str(tmp_path / "demo")]) == 0
    assert "report: " in capsys.readouterr().out
    text = (tmp_path / "demo" / "report.html").read_text()
    assert "One person is no longer recognised in pictures" in text
    moved = [f"vanilla={tmp_path}/demo/vanilla", f"{tmp_path}/demo/vkd", "--output", "p.html"]
    assert main(["report", *moved]) == 0
    assert "There is no gold model" in Path("p.html").read_text()
    assert main(["report", *moved, "--relearning", "absent.json"]) == 2
    assert "absent.json can't be read" in capsys.readouterr().err
    Path("list.json").write_text("[]")
    assert main(["report", *moved, "--relearning", "list.json"]) == 2
    assert "list.json holds no curves" in capsys.readouterr().err
    assert main(["report", f"{tmp_path}/nothing"]) == 2
    assert main(["report", *moved[:2], "--output", "."]) == 2
    assert ". is a folder: name an HTML file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"forget": [3, 17], "seed": 0}, "were asked different questions (forget)"),
        ({"forget": [3], "seed": 1}, "were asked different questions (seed)"),
        ({"forget": "people/forget"}, "does not say which drawn people were to be forgotten"),
    ],
)
def test_runs_about_other_people_are_not_compared(
    config: dict[str, Any], message: str, tmp_path: Path, capsys: Any
) -> None:
    vanilla, vkd, _ = three()
    write_run(tmp_path / "vanilla", vanilla.metrics, {"forget": [3], "seed": 0}, vanilla.rows)
    write_run(tmp_path / "vkd", vkd.metrics, config, vkd.rows)
    assert main(["report", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
    assert main(["report", f"{tmp_path}/vkd", f"{tmp_path}/vkd"]) == 2
    assert "two runs have the same name" in capsys.readouterr().err


def test_a_page_without_gold(tmp_path: Path) -> None:
    vanilla, vkd, _ = three()
    del vkd.metrics["gold_gap"]
    text = page(tmp_path, [vanilla, vkd])
    assert "There is no gold model for this choice of people" in text
    assert "<dt>Gold</dt>" not in text
    assert '<th scope="col">Gold</th>' not in text
    assert 'class="gold"' not in text


def test_a_page_without_predictions_draws_nothing(tmp_path: Path) -> None:
    runs = three()
    for run in runs:
        run.rows = []

    def never(key: str) -> np.ndarray:
        raise AssertionError(f"{key} was drawn")

    text = write_report(tmp_path / "report.html", runs, never, [3], [80]).read_text("utf-8")
    assert "No predictions about the forgotten people were kept" in text
    assert "<h1>One person is no longer recognised in pictures.</h1>" in text


def test_a_page_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = page(tmp_path, three())

    def full(path: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device", str(target))

    def unreadable(key: str) -> np.ndarray:
        raise OSError("no such picture")

    target = tmp_path / "out" / "report.html"
    with pytest.raises(OSError, match="no such picture"):
        write_report(target, three(), unreadable, [3], [80])
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_report(target, three(rows_of({3, 43, 80})), picture, [3], [80])
    assert target.read_text(encoding="utf-8") == before
    assert [path.name for path in target.parent.iterdir()] == ["report.html"]


def test_metrics_survive_json(tmp_path: Path) -> None:
    """What `write_run` writes and `read_run` reads gives the same table."""
    runs = three()
    for run in runs:
        write_run(tmp_path / run.name, json.loads(json.dumps(run.metrics)), run.config, run.rows)
    read = [read_run(tmp_path / run.name) for run in runs]
    assert markdown(read, "gold") == markdown(runs, "gold")
