"""Whether a text is a value that an option takes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sartor.flags.model import Option

SUFFIX = re.compile(r"\d+(?:\.\d+)?[kKmMgGtT]i?", re.ASCII)
WHOLE = re.compile(r"[+-]?\d(?:_?\d)*", re.ASCII)
DIGITS = re.compile(r"\d", re.ASCII)
MOST_SHOWN = 12


def value_fault(option: Option, value: str) -> str | None:
    """Why the engine refuses a value; None where it takes it, or that is not told."""
    if re.search(r"[$<>{]", value) and option.type != "json" and not option.choices:
        return None  # a shell's variable, or a place that somebody is to fill in
    fault = _type_fault(option, value)
    if fault is None and option.choices is not None:
        fault = _choice_fault(option, value)
    return fault


def _type_fault(option: Option, value: str) -> str | None:
    if value in option.words:
        return None
    if any(DIGITS.search(word) and word[-1].isalpha() for word in option.words) and (
        SUFFIX.fullmatch(value)
    ):
        return None
    match option.type:
        case "int" if not WHOLE.fullmatch(value.strip()):
            return f"`{value}` is no whole number"
        case "float":
            return _float_fault(value)
        case "json":
            return _json_fault(value)
        case _:
            return None


def _float_fault(value: str) -> str | None:
    try:
        float(value)
    except ValueError:
        return f"`{value}` is no number"
    return None


def _json_fault(value: str) -> str | None:
    try:
        json.loads(value)
    except (ValueError, RecursionError) as error:
        return f"`{value[:60]}` is no JSON: {error}"
    return None


def _choice_fault(option: Option, value: str) -> str | None:
    choices = option.choices or ()
    allowed = {str(choice) for choice in choices if choice is not None}
    if value in allowed or (None in choices and value in {"", "None"}):
        return None
    if option.type == "int" and WHOLE.fullmatch(value) and str(int(value)) in allowed:
        return None
    names = sorted(allowed)
    more = len(names) - MOST_SHOWN
    tail = f" and {more} more" if more > 0 else ""
    return f"`{value}` is none of {', '.join(names[:MOST_SHOWN])}{tail}"
