"""What a run costs: seconds and peak memory."""

from __future__ import annotations

import threading
import time
from types import TracebackType


class Cost:
    """Measures a `with` block: `seconds` of wall clock and `peak_memory_mb`.

    On the CPU the peak is resident memory above its level at `baseline` (protocol: after imports,
    before the model is loaded), sampled every 20 ms; on a GPU it is the allocator's own.

    Args:
        baseline: bytes resident before the model was loaded, see `resident`; None: at entry.
    """

    def __init__(self, baseline: int | None = None) -> None:
        self.baseline = baseline
        self.seconds = 0.0
        self.peak_memory_mb = 0.0

    def __enter__(self) -> Cost:
        import torch

        self._gpu = torch.cuda.is_available()
        if self._gpu:
            torch.cuda.reset_peak_memory_stats()
        if self.baseline is None:
            self.baseline = resident()
        self._peak = resident()
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        self._start = time.perf_counter()
        return self

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            self._peak = max(self._peak, resident())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        import torch

        self.seconds = time.perf_counter() - self._start
        self._stop.set()
        self._watcher.join()
        peak = torch.cuda.max_memory_allocated() if self._gpu else self._peak - (self.baseline or 0)
        self.peak_memory_mb = max(0.0, peak / 2**20)


def resident() -> int:
    """Bytes of memory that this process holds (RSS)."""
    import psutil

    return psutil.Process().memory_info().rss
