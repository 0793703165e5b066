"""`unsee estimate`: memory of an unlearning run, from the model's configuration alone."""

from __future__ import annotations

import argparse
import json
from typing import Any

EXAMPLES = """\
examples:
  unsee estimate llava-hf/llava-1.5-7b-hf --method vkd
  unsee estimate llava-hf/llava-1.5-7b-hf --batch-size 2 --bf16 --gradient-checkpointing
  unsee estimate Qwen/Qwen2.5-VL-72B-Instruct --method graddiff --processes 8 --shard fsdp
  unsee estimate ./folder --json

No weights are read: the model is built on the meta device, and the run is acted out on shapes. The
configurations of {known} are in the package. docs/estimate.md says what is counted, and how far the
estimate is from what was measured."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `unsee estimate`."""
    from unsee.estimate.published import published

    parser.epilog = EXAMPLES.format(known=", ".join(published()))
    parser.add_argument("model", help="a folder with a config.json, or a name on the hub")
    add = parser.add_argument
    add("--method", default="vkd", help="see `unsee methods` (default: vkd)")
    add("--trainable", default="", help="parts that are trained (default: the method's)")
    add("--dtype", default="", help="the weights are loaded in (default: as published)")
    add("--bf16", action="store_true", help="train under autocast, as `unsee unlearn --bf16`")
    add("--batch-size", type=int, default=0, help="pictures of each side (default: the method's)")
    add("--gradient-checkpointing", action="store_true", help="run blocks again, keep less")
    add("--lora-rank", type=int, default=0, help="train adapters of this rank")
    add("--image-size", type=int, default=0, help="side of the pictures, for towers of any size")
    add("--text-tokens", type=int, default=64, help="of question and answer (default: 64)")
    add("--processes", type=int, default=1, help="number of GPUs")
    add("--shard", default="ddp", help="over them: ddp, fsdp, zero2, zero3 (default: ddp)")
    add("--quantize", default="", help="linear layers of W in 8bit or 4bit")
    add("--revision", help="branch, tag or commit, of a model on the hub")
    add("--trust-remote-code", action="store_true", help="run code that comes with the model")
    add("--json", action="store_true", help="print one JSON object, sizes in bytes")


def run(args: argparse.Namespace) -> None:
    """Prints the estimate."""
    import dataclasses

    from unsee.estimate.memory import Plan, estimate
    from unsee.estimate.published import config_of

    names = {field.name for field in dataclasses.fields(Plan)}
    plan = Plan(**{name: value for name, value in vars(args).items() if name in names})
    config = config_of(args.model, args.revision, args.trust_remote_code)
    made = estimate(config, plan, args.model, args.trust_remote_code)
    print(json.dumps(made.as_dict(), indent=2) if args.json else table(made))


def table(made: Any) -> str:
    """An estimate as text, in GB (10^9 bytes)."""
    from unsee.estimate.memory import CARDS, COLUMNS, GB, RUNTIME

    says = made.settings
    batch = f"{says['batch_size']} pictures of each side"
    adapters = f", adapters of rank {says['lora_rank']}" if says["lora_rank"] else ""
    spread = f", {says['processes']} GPUs ({says['shard']})" if says["processes"] > 1 else ""
    lines = [
        f"{made.model}: {says['method']} on {says['trainable']}{adapters}, {says['dtype']}, "
        f"{batch}{spread}"
    ]
    head = ("", "weights", "trained", *COLUMNS)
    lines.append(" ".join(f"{word:>12}" for word in head))
    rows = [(name, vars(part)) for name, part in made.parts.items()]
    rows.append(("all", {key: made.sum_of(key) for key in rows[0][1]}))
    for name, row in rows:
        counts = [f"{row[key] / 1e6:,.1f} M" for key in ("weights", "trained")]
        sizes = [f"{row[column] / GB:,.2f}" for column in COLUMNS]
        lines.append(" ".join(f"{cell:>12}" for cell in (name, *counts, *sizes)))
    if made.gathered:
        lines.append(f"gathered blocks {made.gathered / GB:.2f}")
    each = " on each GPU" if says["processes"] > 1 else ""
    lines.append(f"peak {made.total / GB:.1f} GB{each}; sizes in GB (10^9 bytes)")
    verdicts = [f"{card} GB: {'fits' if made.fits(card) else 'does not fit'}" for card in CARDS]
    lines.append(f"{', '.join(verdicts)} (with {RUNTIME / GB:g} GB for the GPU's runtime)")
    return "\n".join(lines)
