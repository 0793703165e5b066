"""Several runs of a study at a time, each in a process of its own with its share of the cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any, TypeVar

Key = TypeVar("Key", bound=Hashable)


def each(
    work: Callable[..., Any], tasks: Mapping[Key, tuple[Any, ...]], jobs: int
) -> Iterator[tuple[Key, Any]]:
    """Calls `work` with the arguments of every task.

    Args:
        work: a function of a module, so that another process can find it.
        tasks: key -> arguments.
        jobs: tasks at a time; 1 runs them here, in order.

    Yields:
        (key, result), in the order in which tasks are finished.
    """
    if jobs == 1:
        for key, arguments in tasks.items():
            yield key, work(*arguments)
        return
    threads = max(1, (os.cpu_count() or 1) // jobs)
    with ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=_threads, initargs=(threads,)
    ) as pool:
        waiting = {pool.submit(work, *arguments): key for key, arguments in tasks.items()}
        try:
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _threads(count: int) -> None:
    import torch

    torch.set_num_threads(count)
