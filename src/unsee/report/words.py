"""Numbers as people write them."""

from __future__ import annotations

from html import escape

MISSING = "–"
_SMALL = "no one two three four five six seven eight nine ten eleven twelve".split()


def percent(share: float | None) -> str:
    """A share in [0, 1] in whole percent: `97 %`.

    Rounding never claims everything or nothing: `99.8 %`, `> 99.9 %`, and `0.4 %`, `< 0.1 %`.
    """
    if share is None:
        return MISSING
    value = 100 * share
    if 0 < value < 0.05:
        return "< 0.1\u00a0%"
    if 99.95 <= value < 100:
        return "> 99.9\u00a0%"
    near_end = 0 < value < 0.5 or 99.5 <= value < 100
    return f"{value:.1f}\u00a0%" if near_end else f"{value:.0f}\u00a0%"


def percent_cell(share: float | None) -> str:
    """A share in [0, 1] in percent with one decimal and without the sign, for tables."""
    return decimal(None if share is None else 100 * share, 1)


def decimal(value: float | None, places: int) -> str:
    """A number with so many decimals, or a dash where it is missing."""
    return MISSING if value is None else f"{value:.{places}f}"


def people(count: int) -> str:
    """`One person`, `Five people`, `17 people`."""
    number = _SMALL[count] if count < len(_SMALL) else str(count)
    return f"{number.capitalize()} {'person' if count == 1 else 'people'}"


def listed(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def esc(text: object) -> str:
    """Text for HTML, within an element or a quoted attribute."""
    return escape(str(text), quote=True)
