"""What was added to a parser, as options: a pure function of what evaluating gave.

What one value of an option is, is found by trying the engine's own function for it on some texts.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from sartor.flags.model import Option
from sartor.flags.static.arguments import BOOLEAN
from sartor.flags.static.values import (
    Bound,
    EnumMember,
    Form,
    Function,
    Instance,
    Native,
    PyClass,
    Raised,
    Special,
    TooMuch,
    Unknown,
    first_unknown,
    is_known,
)

if TYPE_CHECKING:
    from sartor.flags.model import OptionType, Plain
    from sartor.flags.static.arguments import Added
    from sartor.flags.static.interpreter import Interpreter
    from sartor.flags.static.values import Value

MOST_HELP = 240
OF_ACTIONS = frozenset({"nargs", "const", "default"})
WORDS = ("auto", "None", "none", "-1", "max")
SUFFIXED = "4k"
OFFERED = re.compile(r"\{([^{}]*)\}")
DEPRECATED = re.compile(
    r"deprecat|will be removed|no longer (?:has|have) any effect", re.IGNORECASE
)
REPLACED = (
    re.compile(
        r"(?:use|using|favou?r of|replaced (?:by|with)|renamed to|prefer|set)\s[^.]{0,60}?"
        r"(--[a-z][\w.-]*\w(?:=\w+)?)",
        re.IGNORECASE,
    ),
    re.compile(r"alias (?:of|for)\s[^.]{0,20}?(--[a-z][\w-]*)", re.IGNORECASE),
)


def options_of(interpreter: Interpreter, added: list[Added]) -> list[Option]:
    """The options in the order in which they were added; of two of one name the last counts."""
    found: dict[str, Option] = {}
    for one in added:
        option = option_of(interpreter, one)
        found[option.name] = option
    return list(found.values())


def option_of(interpreter: Interpreter, added: Added) -> Option:
    """One option."""
    action, cls = action_of(added.given.get("action", "store"))
    given, notes = completed(added.given, action, cls), []
    for name, value in given.items():
        if name not in {"default", "help"} and not is_known(value):
            why = first_unknown(value, *(value if isinstance(value, (list, tuple)) else ()))
            notes.append(f"{name}: {why.why if why else 'a part of it is not told'}")
    default, text, unknown = default_of(given.get("default"))
    kind, words = type_of_values(interpreter, given.get("type"), action)
    help_text = str(given.get("help") if isinstance(given.get("help"), str) else "")
    deprecated = deprecation(given, help_text, cls)
    names = names_of(added.names, action)
    offered = OFFERED.search(str(given.get("metavar", "")))
    metavar = given.get("metavar")
    return Option(
        names=names,
        dest=str(given.get("dest") or dest_of(added.names)),
        action=action,
        type=kind,
        type_name=name_of(given.get("type")),
        words=words,
        nargs=_nargs(given.get("nargs")),
        const=plain(given.get("const"))[0],
        choices=choices_of(interpreter, given.get("choices")),
        known_values=tuple(offered[1].split(",")) if offered else _listed(metavar),
        metavar=metavar if isinstance(metavar, str) and not offered else None,
        default=default,
        default_text=text,
        default_unknown=unknown,
        required=given.get("required") is True,
        deprecated=deprecated,
        replaced_by=replacement(deprecated, names),
        help=shortened(help_text),
        group=added.group,
        when=" and ".join(added.when) or None,
        not_read=tuple(notes),
        exclusive=added.exclusive,
    )


def action_of(value: Value) -> tuple[str, PyClass | None]:
    """The action's name; an engine's own class too."""
    if isinstance(value, PyClass):
        return value.name, value
    if value == BOOLEAN:
        return "boolean", None
    if isinstance(value, Special):
        return value.name, None
    return value if isinstance(value, str) else "not told", None


def names_of(names: list[str], action: str) -> tuple[str, ...]:
    """The option's names; a boolean one has its denials too, as argparse makes them."""
    if action != "boolean":
        return tuple(names)
    found = []
    for name in names:
        found.append(name)
        if name.startswith("--"):
            found.append(f"--no-{name[2:]}")
    return tuple(found)


def dest_of(names: list[str]) -> str:
    """What argparse names the value: after the first long name, else the first."""
    name = next((n for n in names if n.startswith("--")), names[0])
    return name.lstrip("-").replace("-", "_")


def default_of(value: Value) -> tuple[Plain, str | None, str | None]:
    """The default as plain, or what object it is, or why it is not told."""
    if isinstance(value, Unknown):
        return None, None, value.why[:200]
    found, whole = plain(value)
    if whole:
        return found, None, None
    if not is_known(value):
        return None, None, "a part of it is not told"
    return None, describe(value), None


def plain(value: Value) -> tuple[Plain, bool]:
    """A value as JSON has it, and whether it is one."""
    if isinstance(value, EnumMember):
        return plain(value.value) if isinstance(value.value, str) else (None, False)
    if isinstance(value, bool) or value is None or isinstance(value, (int, float, str)):
        return value, True
    if isinstance(value, (list, tuple, set, frozenset)):
        parts = [plain(item) for item in value]
        if isinstance(value, (set, frozenset)):
            parts.sort(key=repr)
        return [part for part, _ in parts], all(whole for _, whole in parts)
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        inner = {str(key): plain(item) for key, item in value.items()}
        return {k: part for k, (part, _) in inner.items()}, all(w for _, w in inner.values())
    return None, False


def describe(value: Value) -> str:
    """What object a default is, as its class's name."""
    match value:
        case Instance(cls=cls):
            return f"{cls.name}(...)" if cls.is_dataclass else cls.name
        case EnumMember(cls=cls, name=name):
            return f"{cls.name}.{name}"
        case PyClass(name=name) | Function(name=name) | Native(name=name) | Special(name=name):
            return name
        case type():
            return value.__name__
        case list() | tuple() | set() | frozenset():
            return f"[{', '.join(describe(v) for v in value)}]"
        case dict():
            return f"{{{', '.join(f'{k}: {describe(v)}' for k, v in value.items())}}}"
        case _:
            return repr(value)


def choices_of(interpreter: Interpreter, value: Value) -> tuple[Plain, ...] | None:
    """The choices; None where there are none, or they are not told."""
    if value is None:
        return None
    items = interpreter.items(value)
    if isinstance(items, Unknown):
        return None
    parts = [plain(item) for item in items]
    return tuple(part for part, _ in parts) if all(whole for _, whole in parts) else None


def name_of(value: Value) -> str | None:
    """The name of what makes a value out of a text; of a partial or bound one of what is in it."""
    match value:
        case None:
            return None
        case Bound(function=inner):
            return name_of(inner)
        case type():
            return value.__name__
        case Function(name=name) | Native(name=name) | PyClass(name=name) | Special(name=name):
            return name
        case Form(origin=origin):
            return name_of(origin)
        case _:
            return None


def type_of_values(
    interpreter: Interpreter, kind: Value, action: str
) -> tuple[OptionType, tuple[str, ...]]:
    """What one value is, and the texts beside it that are taken."""
    if action in {"store_true", "store_false", "boolean"}:
        return "bool", ()
    if action in {"store_const", "append_const", "count", "help", "version"}:
        return "none", ()
    if kind is None or kind is str:
        return "str", ()
    if isinstance(kind, Unknown):
        return "other", ()
    accepted = {text: _tried(interpreter, kind, text) for text in PROBES}
    found = classified(accepted)
    if found in {"str", "other"}:
        return found, ()
    words = [word for word in WORDS if not isinstance(accepted[word], (Raised, Unknown))]
    words = [w for w in words if not (w == "-1" and accepted[w] == -1 and "auto" not in words)]
    if accepted[SUFFIXED] in (4000, 4096):
        words.append(SUFFIXED)
    return found, tuple(words)


PROBES = ("7", "1.5", "word", '{"a": 1}', "[1]", SUFFIXED, "true", *WORDS)


def classified(accepted: dict[str, Value]) -> OptionType:
    """The type of values, by what became of the texts."""
    taken = {text for text, found in accepted.items() if not isinstance(found, (Raised, Unknown))}
    if isinstance(accepted["word"], Unknown):
        return "other"
    if "word" in taken:
        if accepted["word"] == "word":
            return "str"
        return "bool" if isinstance(accepted["true"], bool) else "other"
    if isinstance(accepted["true"], bool) and accepted["7"] != 7:
        return "bool"
    if {'{"a": 1}', "[1]"} & taken:
        return "json"
    if "1.5" in taken and accepted["1.5"] == 1.5:
        return "float"
    if "7" in taken and accepted["7"] == 7:
        return "int"
    return "other"


def _tried(interpreter: Interpreter, kind: Value, text: str) -> Value | Raised:
    """What the engine's function makes of a text, or how it refuses it."""
    try:
        return interpreter.call(kind, [text], {})
    except Raised as raised:
        return raised
    except TooMuch:
        return Unknown("it takes too long")


def deprecation(given: dict[str, Value], help_text: str, cls: PyClass | None) -> str | None:
    """The package's word on the option being deprecated; None without one."""
    texts = [help_text]
    if cls is not None and "deprecat" in cls.name.lower():
        strings = [n.value for n in ast.walk(cls.node) if isinstance(n, ast.Constant)]
        texts += [s for s in strings if isinstance(s, str) and DEPRECATED.search(s)]
        texts.append("deprecated")
        new = given.get("new_flag") or given.get("new_name")
        if isinstance(new, str):
            return f"deprecated: use {new}"
    for text in texts:
        sentences = re.split(r"(?<=[.\n])\s+", " ".join(text.split()))
        for index, sentence in enumerate(sentences):
            if DEPRECATED.search(sentence) and _of_the_option(sentence):
                return " ".join(sentences[index : index + 2])[:MOST_HELP]
    return "deprecated" if given.get("deprecated") is True else None


def _of_the_option(sentence: str) -> bool:
    """Whether it is the option, and not one of its values, that is deprecated."""
    return not re.search(
        r"^[\"'`*-]|deprecated (?:values?|format|models?|quant|Prometheus|metrics)",
        sentence.strip(),
    )


def replacement(deprecated: str | None, names: tuple[str, ...]) -> str | None:
    """The option that the deprecation names in this one's place."""
    for pattern in REPLACED if deprecated else ():
        found = pattern.search(str(deprecated))
        if found and found[1] not in names:
            return found[1].rstrip(".")
    return None


def shortened(text: str) -> str:
    """The first paragraph on one line, and no more than `MOST_HELP` characters."""
    line = " ".join(text.split("\n\n", maxsplit=1)[0].split()).replace("%%", "%")
    return line if len(line) <= MOST_HELP else f"{line[: MOST_HELP - 1].rstrip()}…"


def _nargs(value: Value) -> int | str | None:
    return value if isinstance(value, (int, str)) else None


def completed(given: dict[str, Value], action: str, cls: PyClass | None) -> dict[str, Value]:
    """What was given, and what argparse or the engine's own action adds to it."""
    if action in {"store_true", "store_false"}:
        return {"default": action == "store_false", **given}
    own = _of_constructor(cls) if cls is not None else {}
    return {**own, **given}


def _of_constructor(cls: PyClass) -> dict[str, Value]:
    """What an action's ``__init__`` has for defaults, or hands on itself, as far as it is plain."""
    found: dict[str, Value] = {}
    node = next((m for c in cls.mro() for m in c.node.body if _is_constructor(m)), None)
    if not isinstance(node, ast.FunctionDef):
        return found
    pairs = zip(node.args.args[::-1], node.args.defaults[::-1], strict=False)
    named = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    for name, value in [*pairs, *named]:
        if name.arg in OF_ACTIONS and isinstance(value, ast.Constant):
            found[name.arg] = value.value
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "__init__":
            for keyword in call.keywords:
                if keyword.arg in OF_ACTIONS and isinstance(keyword.value, ast.Constant):
                    found[str(keyword.arg)] = keyword.value.value
    return found


def _is_constructor(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == "__init__"


def _listed(metavar: Value) -> tuple[str, ...] | None:
    """A metavar that lists values, as argparse shows choices."""
    if isinstance(metavar, (list, tuple)) and all(isinstance(m, str) for m in metavar):
        return tuple(str(m) for m in metavar)
    return None
