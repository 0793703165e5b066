"""Runs at a time: here, or in processes of their own."""

from __future__ import annotations

import os
import time
from math import hypot

import pytest

from unsee.errors import UnseeError
from unsee.studies.parallel import each, threads_of


def test_one_at_a_time_runs_here_and_in_order() -> None:
    tasks = {"b": (3, 4), "a": (5, 12)}
    assert list(each(hypot, tasks, 1)) == [("b", 5.0), ("a", 13.0)]
    assert dict(each(os.getpid, {"one": ()}, 1)) == {"one": os.getpid()}


def test_several_run_elsewhere_and_errors_come_back() -> None:
    assert dict(each(hypot, {"b": (3, 4), "a": (5, 12)}, 2)) == {"a": 13.0, "b": 5.0}
    assert os.getpid() not in dict(each(os.getpid, {1: (), 2: ()}, 2)).values()
    fresh = dict(each(os.getpid, {1: (), 2: ()}, 1, fresh=True))
    assert len({os.getpid(), *fresh.values()}) == 3
    with pytest.raises(TypeError):
        list(each(hypot, {"a": ("x", "y")}, 2))


def test_leaving_early_waits_for_nobody() -> None:
    begun = time.monotonic()
    found = each(time.sleep, {"short": (0.01,), "long": (300,), "never": (300,)}, 2)
    assert next(found) == ("short", None)
    found.close()  # type: ignore[attr-defined]
    assert time.monotonic() - begun < 100


def test_killed_process_is_one_line() -> None:
    with pytest.raises(UnseeError, match="(a or b|b or a) was killed, most likely .*lower --jobs"):
        list(each(os._exit, {"a": (1,), "b": (1,)}, 2))
    with pytest.raises(UnseeError, match="^a was killed, most likely .* memory: leave it out"):
        list(each(os._exit, {"a": (1,), "b": (1,)}, 1, fresh=True))


def test_threads_are_a_share_of_the_cores_and_no_more_than_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [threads_of(jobs) for jobs in (1, 2, 16)] == [8, 4, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert [threads_of(jobs) for jobs in (1, 2, 16)] == [2, 2, 1]
