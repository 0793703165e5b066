"""What each of several processes runs: `together.py WHERE PLAN`, a plan being JSON.

WHERE holds a checkpoint `base`. Each entry of the plan is one run: name, method, options, and
`stop`, the step at which it is cut. It is also how one process makes what is compared with it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import tiny
from unsee.evaluation import frozen
from unsee.evaluation.strangers import Familiarity
from unsee.methods.registry import get_method
from unsee.methods.run import unlearn
from unsee.sharding import is_sharded

FORGET, RETAIN = 7, 11
"""Pictures of each side: neither the batch nor the number of processes divides them."""


def examples(count: int, first: int) -> list[dict[str, Any]]:
    answers = ("baker", "pilot", "I don't know this person", "no")
    return tiny.asked(tiny.examples(1, count, first), *answers)


def run(where: Path, name: str, method: str, options: dict[str, Any], stop: int | None) -> None:
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    batch = options.pop("batch")
    assert batch % processes == 0
    options["per_device_train_batch_size"] = batch // processes
    forget, retain = examples(FORGET, 0), examples(RETAIN, 10)
    strangers = tiny.examples(1, 4, 20)
    words = [{**example, "image": None} for example in retain]
    trainer_class = get_method(method).classes()[0]
    original = trainer_class.training_step

    def training_step(self: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step == stop:
            raise KeyboardInterrupt
        seen = {"wrapped": type(model).__name__, "sharded": is_sharded(model)}
        (where / f"{name}.{os.environ.get('RANK', 0)}.json").write_text(json.dumps(seen))
        return original(self, model, *args, **kwargs)

    def log(self: Any, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        log_of(self, logs, *args, **kwargs)
        logged.append(dict(logs))

    asked: list[int] = []

    def known(self: Familiarity) -> list[int]:
        """At first they are known to all; then no more to the first process, which decides."""
        asked.append(1)
        return [0] if len(asked) == 1 or os.environ.get("RANK") == "1" else []

    known_of = Familiarity.known
    Familiarity.known = property(known)  # type: ignore[assignment]
    log_of, logged = trainer_class.log, []
    trainer_class.training_step, trainer_class.log = training_step, log
    try:
        unlearn(
            str(where / "base"),
            forget,
            retain,
            where / name,
            method,
            options,
            strangers=strangers if options.get("stop_at_strangers") else None,
            texts=words,
        )
    except KeyboardInterrupt:
        assert stop is not None
    finally:
        trainer_class.training_step, trainer_class.log = original, log_of
        Familiarity.known = known_of
    if os.environ.get("RANK", "0") == "0":
        (where / f"{name}.log.json").write_text(json.dumps(logged))


def main(where: Path, plan: list[dict[str, Any]]) -> None:
    for entry in plan:
        run(where, entry["name"], entry["method"], dict(entry["options"]), entry.get("stop"))


if __name__ == "__main__":
    frozen.check = frozen.compare  # without the seconds that a fresh process takes
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
