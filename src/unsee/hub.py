"""The Hugging Face hub: what went wrong in one line, which commit was loaded, pushing a run.

Names, revisions, caches, `HF_HUB_OFFLINE` and tokens (`hf auth login`, `HF_TOKEN`) are left to
`huggingface_hub`; no token passes through here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unsee.errors import UnseeError

NAMING = ("config.yaml", "predictions.jsonl")
"""Files of a run that hold paths and names, and so may say who was forgotten."""


def explain(source: str, error: BaseException, revision: str | None = None) -> str:
    """What kept a checkpoint from being found, in one line that says how to mend it.

    Args:
        source: name on the hub, or folder.
        error: as `transformers` raised it; what it was raised from counts.
        revision: that was asked for.
    """
    from huggingface_hub import errors, is_offline_mode

    causes = list(_chain(error))
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]

    def found(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    if "trust_remote_code" in str(error):
        return (
            f"{source} comes with code of its own, which would be run: pass --trust-remote-code if "
            "you trust where it is from"
        )
    if found(errors.GatedRepoError):
        return (
            f"{source} is gated: ask for access at https://huggingface.co/{source}, then "
            "`hf auth login` (or HF_TOKEN)"
        )
    if found(errors.RepositoryNotFoundError):
        return (
            f"there is no {source} on the hub, or it is private: check the name, or "
            "`hf auth login` (or HF_TOKEN)"
        )
    if found(errors.RevisionNotFoundError, errors.RevisionResolutionError):
        return f"{source} has no revision {revision}: give a branch, a tag or a commit of it"
    if found(errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError):
        what = f"{source} at revision {revision}" if revision else source
        if is_offline_mode():
            return f"{what} is not in the cache, and HF_HUB_OFFLINE keeps it from being fetched"
        return f"{what} is not in the cache, and the hub can't be reached: check the connection"
    return first


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def commit_of(source: str, revision: str | None = None) -> str | None:
    """The commit that a name on the hub stood for when it was loaded; None for a folder."""
    from huggingface_hub import constants, try_to_load_from_cache

    if Path(source).is_dir():
        return None
    file = try_to_load_from_cache(
        source, "config.json", cache_dir=constants.HF_HUB_CACHE, revision=revision
    )
    return Path(file).parent.name if isinstance(file, str) else None


def _api() -> Any:
    import huggingface_hub

    return huggingface_hub.HfApi()


def check_push(repo: str, private: bool = False) -> None:
    """Looks before a long run whether its result can be pushed; nothing is written on the hub.

    Raises:
        UnseeError: a bad name, nobody is logged in, the hub can't be reached, or a repository that
            is to be private is there and public.
    """
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise UnseeError(f"--push-to-hub {repo!r} is no name of a repository: {error}") from error
    api = _api()
    try:
        api.whoami()
        there = api.repo_info(repo) if private else None
    except RepositoryNotFoundError:
        there = None
    except Exception as error:
        raise UnseeError(
            f"--push-to-hub {repo}: {_reason(error)}; log in with `hf auth login` (or HF_TOKEN), "
            "or leave --push-to-hub out and push later"
        ) from error
    if there is not None and not there.private:
        raise UnseeError(f"{repo} is public already: --private would not hide it, choose another")


def push(folder: Path, repo: str, private: bool = False, named: bool = False) -> str:
    """Pushes a finished run in one commit: all of its files arrive, or none.

    Args:
        folder: output of `unsee unlearn`.
        repo: name of the repository, made if it is not there.
        private: make it private.
        named: push the files of `NAMING` too, which may say who was forgotten.

    Returns:
        Address of the repository.

    Raises:
        UnseeError: it failed; the folder is as it was, and the line says how to push it again.
    """
    left_out = [] if named else list(NAMING)
    again = f"hf upload {repo} {folder} ." + "".join(f" --exclude {name}" for name in left_out)
    if private:
        again += " --private"
    api = _api()
    try:
        address = api.create_repo(repo, private=private or None, exist_ok=True)
        api.upload_folder(
            repo_id=repo,
            folder_path=str(folder),
            ignore_patterns=left_out or None,
            commit_message="Upload what unsee unlearn made",
        )
    except Exception as error:
        raise UnseeError(
            f"{folder} is complete, but could not be pushed to {repo}: {_reason(error)}; "
            f"push it again with `{again}`"
        ) from error
    return str(address)


def _reason(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
