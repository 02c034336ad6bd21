"""Options as they were read, held against what the engine's own parser says, flag by flag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sartor.flags.model import Option, OptionSet

ACTIONS = {
    "_StoreAction": "store",
    "_StoreTrueAction": "store_true",
    "_StoreFalseAction": "store_false",
    "_StoreConstAction": "store_const",
    "_AppendAction": "append",
    "_CountAction": "count",
    "_HelpAction": "help",
    "_VersionAction": "version",
    "BooleanOptionalAction": "boolean",
}
FLAGS = {"store_true": True, "store_false": False}


def disagreements(ours: OptionSet, theirs: list[dict[str, Any]]) -> list[str]:
    """A line for each thing that one says otherwise than the other; nothing is left aside."""
    found = []
    mine = {option.names: option for option in ours.options}
    dumped = {tuple(action["names"]): action for action in theirs}
    found += [f"only the engine has {names}" for names in dumped.keys() - mine.keys()]
    found += [f"only the reading has {names}" for names in mine.keys() - dumped.keys()]
    for names in sorted(dumped.keys() & mine.keys()):
        theirs_of = _expected(dumped[names])
        mine_of = _said(mine[names])
        found += [
            f"{names[0]}: {key}: read {mine_of[key]!r}, the engine has {value!r}"
            for key, value in theirs_of.items()
            if mine_of[key] != value
        ]
    return found


def _expected(action: dict[str, Any]) -> dict[str, Any]:
    kind = ACTIONS.get(action["action"], action["action"])
    flag = kind in FLAGS or kind == "boolean"
    return {
        "dest": action["dest"],
        "action": kind,
        "type": action["type"],
        "nargs": None if flag else action["nargs"],
        "const": None if flag else action["const"],
        "default": action["default"],
        "choices": action["choices"],
        "required": action["required"],
    }


def _said(option: Option) -> dict[str, Any]:
    default = {"object": option.default_text} if option.default_text else option.default
    if option.default_unknown:
        default = {"not told": option.default_unknown}
    return {
        "dest": option.dest,
        "action": option.action,
        "type": option.type_name,
        "nargs": option.nargs,
        "const": option.const,
        "default": default,
        "choices": None if option.choices is None else list(option.choices),
        "required": option.required,
    }
