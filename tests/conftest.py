"""What every test gets: a quiet, offline, single-minded process, and caches of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before anything imports torch or a Hugging Face library.
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("MKL_NUM_THREADS", os.environ["OMP_NUM_THREADS"])
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("UNSEE_TEST_CUDA", "")
os.environ["TQDM_DISABLE"] = "1"


@pytest.fixture(autouse=True, scope="session")
def _caches_of_our_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests share one cache with each other and none with the person who runs them."""
    os.environ["UNSEE_CACHE"] = str(tmp_path_factory.mktemp("unsee-cache"))


@pytest.fixture(autouse=True)
def _plain_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a test writes without saying where lands in its own folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("UNSEE_DEBUG", raising=False)
