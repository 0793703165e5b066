"""One unlearning run from checkpoint to checkpoint: resumable, and nothing half-written."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerState

from unsee import __version__, checkpoints, distributed
from unsee.adapter_folder import is_adapter, save_adapter
from unsee.card import FILE, base_of, model_card
from unsee.checkpoints import last_checkpoint
from unsee.errors import UnseeError
from unsee.evaluation import frozen
from unsee.evaluation.runs import write_run, write_text
from unsee.evaluation.strangers import StrangerCriterion
from unsee.hub import commit_of
from unsee.measure import Cost, resident
from unsee.methods.config import own_options
from unsee.methods.registry import get_method
from unsee.methods.work import SecondsSoFar, nothing_without_checkpoint, prepare_output, work_of
from unsee.quantised import with_language_of


class _StopsAtStrangers(TrainerCallback):
    """Ends a training once the people are no more familiar than strangers."""

    def __init__(self, criterion: StrangerCriterion, trainer: Any) -> None:
        self.criterion, self.trainer = criterion, trainer

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step % args.stranger_steps == 0:
            found = self.trainer.inside(kwargs["model"], self.criterion)
            if distributed.is_first():
                print(f"step {state.global_step}: told from strangers with AUC {found.auc:.2f}")
            control.should_training_stop |= not distributed.agreed(found.known)


def configure(config_class: Any, work: Path, options: Mapping[str, Any]) -> Any:
    """The configuration of a method.

    Raises:
        UnseeError: an option does not exist, or its value is none that it can have.
    """
    try:
        return config_class(output_dir=str(work), **options)
    except (ValueError, TypeError) as error:
        raise UnseeError(f"bad option: {error}") from error


def unlearn(
    model_source: str,
    forget: Any,
    retain: Any,
    output: Path,
    method: str = "vkd",
    options: Mapping[str, Any] | None = None,
    describe: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    allow_pickle: bool = False,
    strangers: Any = None,
    texts: Any = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    forgotten: Sequence[str] = (),
    quantize: str | None = None,
) -> dict[str, Any]:
    """Runs a method and leaves a complete checkpoint in `output`, with its metrics; where
    `save_adapter=adapter`, an adapter in the format of `peft`.

    Args:
        model_source: checkpoint to start from: a folder or a name on the hub.
        forget: dataset of pictures to forget, each item with an `image`.
        retain: the same of people to keep.
        output: folder of the new checkpoint; written beside and moved there when whole.
        method: name of the method.
        options: fields of the method's configuration that differ from its defaults.
        describe: what else belongs into `config.yaml` (where the pictures are from, …).
        overwrite: replace a finished run in `output`, or an unfinished one with other settings.
        allow_pickle: load `pytorch_model.bin`.
        strangers: dataset of people whom the model never learnt, where a method needs it.
        texts: dataset of questions in words that keep their answers, for methods that train W.

        revision: branch, tag or commit of the original, where that is a name on the hub.
        trust_remote_code: run code that comes with the original.
        forgotten: who is forgotten, only where the model card (`README.md`) is to name them.

        quantize: `8bit` or `4bit`: W is loaded so, for methods that leave it alone; it is saved as
            it was stored.

    Returns:
        What is in `metrics.json`: `seconds`, `peak_memory_mb`, `trained_parameters`,
        `text_logits_identical`; with strangers also `stranger_auc`, before and after. Where the
        original knows none of the people, nothing is trained or written but that:
        `known_before` is False.

    Raises:
        UnseeError: bad input, or a broken promise of the method to leave W untouched.
    """
    entry = get_method(method)
    trainer_class, config_class = entry.classes()
    settings = {"method": method, "model": model_source, **(describe or {}), **(options or {})}
    settings |= {"revision": revision} if revision else {}
    settings |= {"quantize": quantize} if quantize else {}
    if quantize and distributed.processes() > 1:
        raise UnseeError("--quantize is for one process")
    dtype = checkpoints.stored_dtypes(model_source, allow_pickle, revision, trust_remote_code)
    if output.is_symlink() or output.name in ("", ".."):
        output = output.resolve()
    distributed.prepare()
    args = configure(config_class, work_of(output), options or {})
    if quantize and args.trains_language:
        raise UnseeError(
            f"{method} with trainable={args.trainable} changes the language model: leave "
            "--quantize out"
        )
    distributed.check_launched()
    if args.save_adapter == "adapter" and is_adapter(model_source):
        raise UnseeError(
            f"save_adapter=adapter needs a whole checkpoint to start from, and {model_source} is "
            "an adapter itself: choose save_adapter=merged"
        )
    of_run = _of_run(args, settings)
    work = distributed.on_first(lambda: prepare_output(output, of_run, overwrite))
    with nothing_without_checkpoint(work):
        baseline = resident()
        model, processor = checkpoints.load(
            model_source,
            allow_pickle=allow_pickle,
            revision=revision,
            trust_remote_code=trust_remote_code,
            quantize=quantize,
        )
        commit = commit_of(model_source, revision)
        criterion = StrangerCriterion(model, processor, forget, strangers) if strangers else None
        if criterion is not None and not distributed.agreed(criterion.before.known):
            before = criterion.before
            return distributed.on_first(lambda: _not_known(before.auc, output, work, settings))
        if args.stop_at_strangers and criterion is None:
            raise UnseeError("stop_at_strangers needs pictures of strangers (--strangers DIR)")
        with Cost(baseline) as cost:
            so_far = SecondsSoFar(work, cost)
            trainer = trainer_class(
                model,
                args,
                forget,
                retain,
                processor,
                stranger_dataset=strangers,
                text_dataset=texts,
                callbacks=[so_far],
            )
            if args.stop_at_strangers and criterion is not None:
                trainer.add_callback(_StopsAtStrangers(criterion, trainer))
            last = distributed.on_first(lambda: last_checkpoint(work))
            if not restored(trainer, last):
                trainer.train(resume_from_checkpoint=str(last) if last else None)
    peak = distributed.largest(cost.peak_memory_mb)[0]
    metrics: dict[str, Any] = {
        "seconds": round(so_far.before + cost.seconds, 2),
        "peak_memory_mb": round(peak, 1),
        "trained_parameters": trainer.trained_parameters,
        "steps": trainer.state.global_step,
    }
    if distributed.processes() > 1:
        metrics["processes"] = distributed.processes()

    def finish() -> dict[str, Any]:
        if criterion is not None:
            metrics["stranger_auc_before"] = round(criterion.before.auc, 4)
            metrics["stranger_auc"] = round(criterion(trainer.anatomy.model).auc, 4)
            metrics["known_before"] = True
        partial = work / "finished"
        shutil.rmtree(partial, ignore_errors=True)
        if trainer.adapter is not None:
            save_adapter(trainer.adapter, model_source, processor, partial, commit)
        else:
            model = trainer.anatomy.model
            if quantize:
                where = (commit or revision, trust_remote_code, None, "cpu")
                stored, _ = checkpoints.load(model_source, "auto", allow_pickle, *where)
                model = with_language_of(stored, model)
            checkpoints.save(model, processor, partial, dtype)
        verdict = frozen.check(
            model_source, [str(partial)], allow_pickle, commit or revision, trust_remote_code
        )[0]
        metrics["text_logits_identical"] = verdict.identical
        if not args.trains_language and not verdict.identical:
            what = verdict.changed[0] if verdict.changed else "the logits of text-only prompts"
            raise UnseeError(
                f"{method} must leave the language model alone, but {what} changed: a bug"
            )
        trained_with, base = own_options(args), base_of(model_source)
        config = {**settings, "trained_with": trained_with} | ({"commit": commit} if commit else {})
        alone = trainer.adapter is not None
        card = model_card(entry, metrics, trained_with, base, commit, forgotten, alone)
        write_text(partial / FILE, card)
        write_run(partial, metrics, config)
        if output.exists():
            shutil.rmtree(output)
        output.parent.mkdir(parents=True, exist_ok=True)
        partial.replace(output)
        shutil.rmtree(work, ignore_errors=True)
        return metrics

    return distributed.on_first(finish)


def _of_run(args: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What must be the same for an unfinished run to go on. Defaults may change between versions;
    the number of processes may change where the batch of all together stays."""
    resolved = {**own_options(args), "unsee": __version__}
    each = "per_device_train_batch_size"
    resolved["batch"] = resolved.pop(each) * distributed.processes()
    chosen = {name: value for name, value in settings.items() if name != each}
    return {**chosen, "resolved": resolved}


def _not_known(auc: float, output: Path, work: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The result that there is nothing to forget: metrics alone."""
    metrics = {"known_before": False, "stranger_auc_before": round(auc, 4)}
    shutil.rmtree(output, ignore_errors=True)
    write_run(output, metrics, settings)
    shutil.rmtree(work, ignore_errors=True)
    return metrics


def restored(trainer: Any, last: Path | None) -> bool:
    """Whether a checkpoint holds the end of the training; then it is taken as it is, for a resumed
    `Trainer` would make one step more."""
    if last is None:
        return False
    state = TrainerState.load_from_json(str(last / "trainer_state.json"))
    if state.global_step < state.max_steps:
        return False
    trainer._load_from_checkpoint(str(last))
    trainer.finish()
    trainer.state = state
    return True
