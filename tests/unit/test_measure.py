"""Seconds and peak memory of a run."""

from __future__ import annotations

import mmap
import time

import pytest

from unsee.measure import Cost, resident

MEGABYTES = 200


def fresh_memory() -> mmap.mmap:
    """New pages of the system, all written to: an allocator may reuse what earlier tests freed."""
    block = mmap.mmap(-1, MEGABYTES * 2**20)
    for start in range(0, len(block), mmap.PAGESIZE):
        block[start] = 1
    return block


def test_peak_and_seconds_of_a_block() -> None:
    with Cost() as cost:
        block = fresh_memory()
        time.sleep(0.15)
        block.close()
        time.sleep(0.05)
    assert 0.2 <= cost.seconds < 10
    assert 0.8 * MEGABYTES < cost.peak_memory_mb < 2 * MEGABYTES


def test_what_was_held_at_the_baseline_is_not_counted() -> None:
    before = resident()
    block = fresh_memory()
    with Cost() as without:
        time.sleep(0.05)
    with Cost(before) as with_block:
        time.sleep(0.05)
    assert block[0] == 1
    assert without.peak_memory_mb < 0.5 * MEGABYTES < with_block.peak_memory_mb


def test_an_error_passes_and_the_watcher_ends() -> None:
    with pytest.raises(KeyboardInterrupt), Cost() as cost:
        raise KeyboardInterrupt
    assert cost.seconds > 0 and not cost._watcher.is_alive()
