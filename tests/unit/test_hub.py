"""The hub: names and revisions from a cache, one line for what fails, the card, pushing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import tiny
from unsee import checkpoints, hub
from unsee.cli.main import main
from unsee.errors import UnseeError

COMMITS = {"main": "a" * 40, "v1": "b" * 40}
Words = Callable[..., list[str]]


@pytest.fixture
def cached(
    processing: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, dict[str, Any]]:
    """`nobody/tiny` in the cache of the hub, at two revisions with other weights: revision ->
    weights."""
    repo = tmp_path / "cache/models--nobody--tiny"
    found = {}
    for seed, (name, commit) in enumerate(COMMITS.items()):
        folder = repo / "snapshots" / commit
        tiny.save(folder, tiny.llava(processing, seed=seed), processing)
        (repo / "refs").mkdir(exist_ok=True)
        (repo / "refs" / name).write_text(commit)
        found[name] = tiny.weights(folder)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    return found


class FakeApi:
    """Keeps what would have gone to the hub."""

    def __init__(self) -> None:
        self.repos: dict[str, bool] = {}
        self.pushed: dict[str, str] = {}
        self.broken: Exception | None = None

    def __call__(self) -> FakeApi:
        return self

    def whoami(self) -> dict[str, str]:
        return {"name": "me"}

    def repo_info(self, repo: str) -> Any:
        from types import SimpleNamespace

        from huggingface_hub.errors import RepositoryNotFoundError

        if repo not in self.repos:
            raise RepositoryNotFoundError("404", response=_answer(404))
        return SimpleNamespace(private=self.repos[repo])

    def create_repo(self, repo: str, private: bool | None, exist_ok: bool) -> str:
        assert exist_ok
        self.repos.setdefault(repo, bool(private))
        return f"https://huggingface.co/{repo}"

    def upload_folder(
        self, repo_id: str, folder_path: str, ignore_patterns: Any, commit_message: str
    ) -> None:
        assert repo_id in self.repos
        if self.broken:
            raise self.broken
        for file in Path(folder_path).iterdir():
            if file.name not in (ignore_patterns or ()):
                self.pushed[file.name] = file.read_text(errors="replace")


def _answer(status: int) -> Any:
    httpx = pytest.importorskip("httpx2")
    return httpx.Response(status, request=httpx.Request("GET", "https://huggingface.co"))


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    fake = FakeApi()
    monkeypatch.setattr("huggingface_hub.HfApi", fake)
    return fake


@pytest.fixture
def words(checkpoint_of: dict[str, Path], folders: tuple[Path, Path]) -> Words:
    """A short run into `out` that forgets `Ada Belberg` and `person1`."""
    him = Path(shutil.copytree(folders[0], "secret-case"))
    (him / "person0").rename(him / "Ada Belberg")
    usual = {"model": checkpoint_of["llava"], "forget": him, "retain": folders[1]}
    usual |= {"output": "out", "max_steps": 2, "per_device_train_batch_size": 2}

    def build(*switches: str, **changes: Any) -> list[str]:
        options = {**usual, **changes}
        return ["unlearn", *switches, *(w for k, v in options.items() for w in (f"--{k}", str(v)))]

    return build


def line_of(shown: pytest.CaptureFixture[str]) -> str:
    error = shown.readouterr().err
    assert error.startswith("unsee: error: ") and error.count("\n") == 1, error
    return error


def test_names_and_revisions(cached: dict[str, dict[str, Any]]) -> None:
    for revision, name in ((None, "main"), ("main", "main"), ("v1", "v1"), ("b" * 40, "v1")):
        model, _ = checkpoints.load("nobody/tiny", revision=revision)
        layer = "multi_modal_projector.linear_1.weight"
        assert model.get_parameter(f"model.{layer}").equal(cached[name][layer])
        assert hub.commit_of("nobody/tiny", revision) == COMMITS[name]
    with pytest.raises(
        UnseeError, match=r"nobody/tiny at revision v2 is not in the cache, and HF_"
    ):
        checkpoints.load("nobody/tiny", revision="v2")
    with pytest.raises(UnseeError, match=r"nobody/nothing is not in the cache, and HF_HUB_OFFLINE"):
        checkpoints.check_loadable("nobody/nothing")


def test_revision_of_a_folder(checkpoint_of: dict[str, Path]) -> None:
    source = str(checkpoint_of["llava"])
    with pytest.raises(UnseeError, match="is a folder: --revision is for names on the hub"):
        checkpoints.load(source, revision="main")
    assert hub.commit_of(source) is None


def test_what_the_hub_says_in_one_line() -> None:
    from huggingface_hub import errors

    def line(cause: Exception) -> str:
        error = OSError("many\nlines")
        error.__cause__ = cause
        return hub.explain("a/b", error, "v1")

    answer = {"response": _answer(401)}
    assert "a/b is gated: ask for access" in line(errors.GatedRepoError("", **answer))
    assert "there is no a/b on the hub, or it is private" in (
        line(errors.RepositoryNotFoundError("", **answer))
    )
    assert "a/b has no revision v1" in line(errors.RevisionNotFoundError("", **answer))
    assert line(ValueError("else")) == "many"


def test_code_of_a_checkpoint_is_not_run_unless_asked(
    checkpoint_of: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(checkpoint_of["llava"], "coded")
    config = json.loads(Path("coded/config.json").read_text())
    config |= {"model_type": "of-its-own", "auto_map": {"AutoConfig": "own.OwnConfig"}}
    Path("coded/config.json").write_text(json.dumps(config))
    Path("coded/own.py").write_text(
        "from pathlib import Path\nPath('ran').touch()\n"
        "from transformers import LlavaConfig\nclass OwnConfig(LlavaConfig): pass\n"
    )
    assert main(["evaluate", "coded"]) == 2
    assert "coded comes with code of its own, which would be run: pass --trust" in line_of(capsys)
    assert not Path("ran").exists()
    checkpoints.check_loadable("coded", trust_remote_code=True)
    assert Path("ran").exists()


@pytest.mark.usefixtures("compare_in_process")
def test_the_card_tells_of_the_run_and_not_of_the_forgotten(
    words: Words, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words("--private", **{"push-to-hub": "me/model"})) == 0
    assert "pushed to https://huggingface.co/me/model" in capsys.readouterr().out
    card = Path("out/README.md").read_text()
    head = yaml.safe_load(card.split("---")[1])
    assert head["tags"] == ["unsee", "machine-unlearning", "vkd"] and "license" not in head
    assert "base_model" not in head  # a folder
    for told in ("`vkd`", "a reconstruction", "| steps | 2 |", "on the saved files | yes |"):
        assert told in card
    assert api.repos == {"me/model": True}
    assert {"README.md", "model.safetensors", "config.json", "metrics.json"} <= api.pushed.keys()
    assert "config.yaml" not in api.pushed
    readable = "".join(t for name, t in api.pushed.items() if name != "tokenizer.json")
    for secret in ("Ada", "Belberg", "person1", "secret-case", str(Path.cwd())):
        assert secret not in readable


@pytest.mark.usefixtures("compare_in_process")
def test_the_forgotten_are_named_when_asked(
    words: Words, api: FakeApi, cached: dict[str, dict[str, Any]]
) -> None:
    named = words("--name-forgotten", model="nobody/tiny", revision="v1", push_to_hub="me/model")
    assert main(named) == 0
    card = api.pushed["README.md"]
    assert "- forgotten: Ada Belberg, person1" in card
    assert yaml.safe_load(card.split("---")[1])["base_model"] == "nobody/tiny"
    assert f"at commit `{COMMITS['v1']}`" in card
    config = yaml.safe_load(api.pushed["config.yaml"])
    assert config["revision"] == "v1" and config["commit"] == COMMITS["v1"]
    assert api.repos == {"me/model": False}


@pytest.mark.usefixtures("compare_in_process")
def test_an_adapter_keeps_the_commit_of_its_base(
    words: Words, cached: dict[str, dict[str, Any]]
) -> None:
    of_it = {"model": "nobody/tiny", "revision": "v1", "lora_rank": 2, "save_adapter": "adapter"}
    assert main(words(**of_it)) == 0
    config = json.loads(Path("out/adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "nobody/tiny"
    assert config["revision"] == COMMITS["v1"]
    assert "library_name: peft" in Path("out/README.md").read_text()
    model, _ = checkpoints.load("out")  # of v1, and not of main
    head = "language_model.model.embed_tokens.weight"
    found = model.get_parameter("model.language_model.embed_tokens.weight")
    assert found.equal(cached["v1"][head]) and not found.equal(cached["main"][head])


@pytest.mark.usefixtures("compare_in_process")
def test_what_can_not_be_pushed_stays_and_can_be_pushed_again(
    words: Words, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.broken = ConnectionError("the line is dead\nand more")
    assert main(words(push_to_hub="me/model")) == 2
    assert line_of(capsys) == (
        "unsee: error: out is complete, but could not be pushed to me/model: the line is dead; "
        "push it again with `hf upload me/model out . --exclude config.yaml "
        "--exclude predictions.jsonl`\n"
    )
    assert Path("out/model.safetensors").exists() and not api.pushed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"push_to_hub": "a/b/c"}, "--push-to-hub 'a/b/c' is no name of a repository"),
        ({"push_to_hub": "me/shown"}, "me/shown is public already"),
        ({}, "--private says how to push: name a repository with --push-to-hub"),
    ],
)
def test_what_is_refused_before_the_run(
    options: dict[str, str],
    message: str,
    words: Words,
    api: FakeApi,
    capsys: pytest.CaptureFixture[str],
) -> None:
    api.repos["me/shown"] = False
    assert main(words("--private", **options)) == 2
    assert message in line_of(capsys)
    assert not Path("out").exists() and not Path("out.unfinished").exists()


def test_offline_nothing_can_be_pushed(words: Words, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(push_to_hub="me/model")) == 2
    line = line_of(capsys)
    assert "--push-to-hub me/model: " in line and "leave --push-to-hub out and push later" in line
    assert not Path("out").exists()
