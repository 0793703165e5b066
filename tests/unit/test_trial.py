"""Trials: what a study hands to a method."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

from unsee.studies.ledger import Ledger
from unsee.studies.trial import spread


def test_spread_is_even_and_never_more_than_there_is() -> None:
    items = list(range(10))
    assert list(spread(items, 4)) == [0, 2, 5, 7]
    assert (
        spread(items, 10) is items and spread(items, None) is items and spread(items, 99) is items
    )


def test_rows_are_kept_as_a_resumed_study_reads_them(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.json", {}, ("name",))
    ledger.add({"name": "a", "by_person": {2: [1, 2], 10: [0, 2]}})
    assert ledger.rows == Ledger(tmp_path / "l.json", {}, ("name",)).rows


def test_commands_that_write_the_same_file_at_once_lose_no_row(tmp_path: Path) -> None:
    ledgers = [Ledger(tmp_path / "l.json", {}, ("seed", "number")) for _ in range(4)]

    def add(seed: int) -> None:
        for number in range(10):
            ledgers[seed].add({"seed": seed, "number": number})
            assert ledgers[seed].rows[-1] == {"seed": seed, "number": number}

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    rows = Ledger(tmp_path / "l.json", {}, ("seed", "number")).rows
    assert sorted((r["seed"], r["number"]) for r in rows) == [*product(range(4), range(10))]
    assert [p.name for p in tmp_path.iterdir()] == ["l.json"]
