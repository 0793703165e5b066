"""What every test gets: a quiet, offline, single-minded process, and caches of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Before anything imports torch or a Hugging Face library.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # a worker a core
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
    os.environ["HF_DATASETS_CACHE"] = str(tmp_path_factory.mktemp("datasets-cache"))


@pytest.fixture(autouse=True)
def _plain_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a test writes without saying where lands in its own folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("UNSEE_DEBUG", raising=False)


@pytest.fixture(scope="session")
def processing() -> Any:
    """The processor of all tiny models; not to be changed."""
    import tiny

    return tiny.processor()


@pytest.fixture(scope="session")
def checkpoint_of(processing: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint on disk of every family, in the dtype of `tiny.STORED`; not to be changed."""
    import tiny

    root = tmp_path_factory.mktemp("checkpoints")
    return {
        name: tiny.save(root / name, build(processing), processing, tiny.STORED[name])
        for name, build in tiny.FAMILIES.items()
    }


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of pictures to forget (two people) and to retain (three); not to be changed."""
    import tiny

    root = tmp_path_factory.mktemp("pictures")
    forget = tiny.write_folder(root / "forget", people=2, each=3)
    return forget, tiny.write_folder(root / "retain", people=3, each=3, first=10)


@pytest.fixture
def compare_in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The frozen-LLM guarantee without the seconds that a fresh process takes to start."""
    from unsee.evaluation import frozen

    monkeypatch.setattr(frozen, "check", frozen.compare)


@pytest.fixture(scope="session")
def _few_pictures_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("few-pictures")


@pytest.fixture(scope="module")
def few_pictures_module(_few_pictures_cache: Path) -> Iterator[None]:
    """Two renders of everybody in every split, so that nobody waits for the drawing."""
    from unsee.data.faces import splits

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splits, "PICTURES", dict.fromkeys(splits.PICTURES, 2))
        patch.setenv("UNSEE_CACHE", str(_few_pictures_cache))
        yield


@pytest.fixture
def few_pictures(few_pictures_module: None) -> None:
    """As `few_pictures_module`, for `usefixtures`."""
