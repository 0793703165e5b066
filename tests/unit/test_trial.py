"""Trials: what a study hands to a method."""

from __future__ import annotations

from unsee.studies.trial import spread


def test_spread_is_even_and_never_more_than_there_is() -> None:
    items = list(range(10))
    assert list(spread(items, 4)) == [0, 2, 5, 7]
    assert (
        spread(items, 10) is items and spread(items, None) is items and spread(items, 99) is items
    )
