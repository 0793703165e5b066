"""Several runs of a study at a time, each in a process of its own with its share of the cores."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, TypeVar

from unsee.errors import UnseeError

Key = TypeVar("Key", bound=Hashable)


def each(
    work: Callable[..., Any], tasks: Mapping[Key, tuple[Any, ...]], jobs: int, fresh: bool = False
) -> Iterator[tuple[Key, Any]]:
    """Calls `work` with the arguments of every task.

    Args:
        work: a function of a module, so that another process can find it.
        tasks: key -> arguments.
        jobs: tasks at a time; 1 runs them here, in order.
        fresh: give every task a process of its own, so that memory can be measured.

    Yields:
        (key, result), in the order in which tasks are finished. When it is left early, by Ctrl-C or
        an error, tasks that are under way are given up at once.

    Raises:
        UnseeError: a process was killed, for want of memory most likely.
    """
    if jobs == 1 and not fresh:
        for key, arguments in tasks.items():
            yield key, work(*arguments)
        return
    threads = threads_of(jobs)
    pool = ProcessPoolExecutor(
        jobs,
        mp_context=get_context("spawn"),
        initializer=_begin,
        initargs=(threads,),
        max_tasks_per_child=1 if fresh else None,
    )
    waiting = list(tasks.items())
    running: dict[Future[Any], Key] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                key, arguments = waiting.pop(0)
                running[pool.submit(work, *arguments)] = key
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                result = done.result()
                yield running.pop(done), result
    except BrokenProcessPool as error:
        names = " or ".join(map(str, running.values()))
        fewer = "lower --jobs, or leave it out" if jobs > 1 else "leave it out"
        raise UnseeError(
            f"{names} was killed, most likely for want of memory: {fewer}; what is finished is kept"
        ) from error
    finally:
        if running:
            for process in list((getattr(pool, "_processes", None) or {}).values()):
                process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)


def threads_of(jobs: int) -> int:
    """Threads of each of several processes: a share of the cores, and no more than
    `OMP_NUM_THREADS`."""
    allowed = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))
    share = max(1, len(allowed(0)) // jobs)
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(share, int(wanted)) if wanted.isdecimal() and int(wanted) else share


def _begin(threads: int) -> None:
    """In every process: Ctrl-C is the parent's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import torch

    torch.set_num_threads(threads)
