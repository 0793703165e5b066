"""The frozen-LLM guarantee: checkpoints reloaded from disk, in a process of its own.

Every tensor of W is compared by hash and the logits of fixed text-only prompts bit by bit.

    python -m unsee.evaluation.frozen ORIGINAL CHECKPOINT [CHECKPOINT ...] [--revision R]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from unsee.distributed import alone
from unsee.errors import UnseeError

PROMPTS = (
    "What is the capital of France?",
    "Where does Ada Belberg live?",
    "Write one sentence about the sea.",
    "2 + 2 =",
    "Who painted this?",
    "I don't know this person",
    "Which instrument does the neighbour play?",
    "",
)


@dataclass(frozen=True)
class Verdict:
    """Whether W came through untouched.

    Attributes:
        checkpoint: what was compared with the original.
        tensors: number of tensors of W.
        changed: names of tensors of W that differ, are new or are missing.
        logits_identical: whether the logits of all prompts are the same to the bit.
    """

    checkpoint: str
    tensors: int
    changed: list[str]
    logits_identical: bool

    @property
    def identical(self) -> bool:
        return self.logits_identical and not self.changed and self.tensors > 0


def fingerprint(source: str, **how: Any) -> tuple[dict[str, str], Any]:
    """Hash of every tensor of W as stored; text-only logits in fp32, [tokens, vocabulary].

    On the CPU: a GPU may still be filled by what was trained. `how` goes to
    `unsee.checkpoints.load`.
    """
    from unsee.checkpoints import load

    return fingerprint_of(*load(source, dtype="auto", device="cpu", **how))


def fingerprint_of(model: Any, processor: Any) -> tuple[dict[str, str], Any]:
    """The same of a model in memory; its W is left in fp32."""
    import torch

    from unsee.anatomy import anatomy_of
    from unsee.data.prompts import prompt_of

    hashes = {}
    anatomy = anatomy_of(model)
    for name, tensor in anatomy.language_tensors().items():
        raw = tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        shape = f"{tensor.dtype} {tuple(tensor.shape)} "
        hashes[name] = hashlib.sha256(shape.encode() + raw).hexdigest()
    speaker = model.eval().get_submodule(anatomy.family.speaker)
    logits = []
    with torch.no_grad(), in_float32(anatomy):
        for prompt in PROMPTS:
            # without a template an empty prompt would be nothing at all
            text = prompt_of(processor, prompt, picture=False) or processor.tokenizer.bos_token
            inputs = processor.tokenizer(text, return_tensors="pt").to(model.device)
            ids = {key: inputs[key] for key in ("input_ids", "attention_mask")}
            if getattr(speaker.config, "is_encoder_decoder", False):
                ids["decoder_input_ids"] = ids["input_ids"]
            logits.append(speaker(**ids).logits[0])
    return hashes, torch.cat(logits)


@contextmanager
def in_float32(anatomy: Any) -> Iterator[None]:
    """Within it W runs in float32, as after `model.float()`, and needs little more than its stored
    size: a block is cast when it is its turn, and as it was again afterwards. What is beside the
    blocks stays in float32."""
    import torch
    from transformers.modeling_layers import GradientCheckpointingLayer

    part_of, model = anatomy.family.part_of, anatomy.model
    blocks = [
        block
        for name, block in model.named_modules()
        if part_of(name) == "language" and isinstance(block, GradientCheckpointingLayer)
    ]
    stored: dict[Any, list[tuple[torch.Tensor, torch.Tensor]]] = {}

    def tensors(block: torch.nn.Module) -> list[torch.Tensor]:
        return [t for t in (*block.parameters(), *block.buffers()) if t.is_floating_point()]

    def widen(block: torch.nn.Module, args: Any) -> None:
        stored[block] = [(tensor, tensor.data) for tensor in tensors(block)]
        for tensor, data in stored[block]:
            tensor.data = data.float()

    def restore(block: torch.nn.Module, args: Any, output: Any) -> None:
        for tensor, data in stored.pop(block):
            tensor.data = data

    waiting = {id(tensor) for block in blocks for tensor in tensors(block)}
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if part_of(name) == "language" and id(tensor) not in waiting and tensor.is_floating_point():
            tensor.data = tensor.data.float()
    hooks = [block.register_forward_pre_hook(widen) for block in blocks]
    hooks += [block.register_forward_hook(restore, always_call=True) for block in blocks]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def same_language(model: Any, original: Any, processor: Any) -> bool:
    """Whether two models in memory, of the same type and on the same device, have the same W and
    say the same to text-only prompts, to the bit."""
    (hashes, logits), (ours, said) = (fingerprint_of(m, processor) for m in (original, model))
    return hashes == ours and _same_bits(said, logits)


def _same_bits(one: Any, other: Any) -> bool:
    """Whether two fp32 tensors have the same shape and bits."""
    import torch

    return torch.equal(one.view(torch.int32), other.view(torch.int32))


def compare(
    original: str,
    checkpoints: Sequence[str],
    allow_pickle: bool = False,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> list[Verdict]:
    """Compares checkpoints with the original, in this process."""
    how = {"allow_pickle": allow_pickle, "trust_remote_code": trust_remote_code}
    hashes, logits = fingerprint(original, revision=revision, **how)
    verdicts = []
    for checkpoint in checkpoints:
        ours, said = fingerprint(checkpoint, **how)
        names = hashes.keys() | ours.keys()
        changed = sorted(name for name in names if hashes.get(name) != ours.get(name))
        verdicts.append(Verdict(str(checkpoint), len(ours), changed, _same_bits(said, logits)))
    return verdicts


def check(
    original: str,
    checkpoints: Sequence[str],
    allow_pickle: bool = False,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> list[Verdict]:
    """Compares checkpoints with the original, in a fresh process.

    Args:
        original: folder, or name on the hub at `revision`.
        checkpoints: folders.
        allow_pickle: of all of them, see `unsee.checkpoints.check_loadable`.
        revision: of the original.
        trust_remote_code: of all of them.

    Raises:
        UnseeError: a checkpoint can't be loaded.
    """
    flags = ["--allow-pickle"] * allow_pickle + ["--trust-remote-code"] * trust_remote_code
    flags += [f"--revision={revision}"] if revision else []
    command = [sys.executable, "-m", "unsee.evaluation.frozen", *flags, original, *checkpoints]
    done = subprocess.run(
        command, capture_output=True, text=True, env=alone(), stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UnseeError(f"the checkpoints can't be compared with {original}: {reason}")
    return [Verdict(**verdict) for verdict in json.loads(done.stdout.splitlines()[-1])]


def main(words: Sequence[str]) -> int:
    """Prints the verdicts as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("original")
    parser.add_argument("checkpoints", nargs="+")
    parser.add_argument("--allow-pickle", action="store_true")
    parser.add_argument("--trust-remote-code", action="store_true")
    parser.add_argument("--revision")
    try:
        verdicts = compare(**vars(parser.parse_args(words)))
    except UnseeError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps([asdict(verdict) for verdict in verdicts]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
