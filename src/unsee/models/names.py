"""The names of a seed's models, and whom each of them never saw.

vanilla           saw all known people
gold-test         never saw the people of a forget set: gold-demo, gold-validation-15, gold-3,17
gold-test@1       another one, which differs in the random seed alone, for the floor
gold-test+20      a gold that then saw everybody for 20 steps, for judging metrics
"""

from __future__ import annotations

from unsee.data.faces import splits
from unsee.errors import UnseeError

REPEAT_SEED = 1000
"""What `@1` in a model's name adds to the seed of its last stage."""


def forgotten_by(model_name: str, seed: int) -> tuple[int, ...]:
    """The people whose pictures a model never sees; none for vanilla and for exposed golds.

    Raises:
        UnseeError: no such model.
    """
    kind, _, exposure = parts(model_name)
    if kind == "vanilla" and not exposure:
        return ()
    which, _, percent = kind.removeprefix("gold-").partition("-")
    if not kind.startswith("gold-") or not (percent or "5").isdecimal():
        raise UnseeError(f"{model_name!r} is no model: say vanilla, gold-demo, gold-test …")
    absent = splits.make_split(which, seed, int(percent or 5)).forget
    return () if exposure else absent


def origin(model_name: str) -> str:
    """The model from which an exposed one went on: `gold-test@1+20` -> `gold-test@1`; any other is
    its own."""
    return model_name.partition("+")[0]


def parts(model_name: str) -> tuple[str, int, int]:
    """Kind, repeat and steps of exposure: `gold-demo@2+20` -> (`gold-demo`, 2, 20).

    Raises:
        UnseeError: no number behind @ or +.
    """
    base, plus, exposure = model_name.partition("+")
    kind, at, repeat = base.partition("@")
    for sign, number in ((at, repeat), (plus, exposure)):
        if sign and not (number.isdecimal() and int(number)):
            raise UnseeError(
                f"{model_name!r}: behind {sign} stands a number from 1 on, as in gold-demo{sign}1"
            )
    return kind, int(repeat or 0), int(exposure or 0)
