"""What is known of Python's builtins and of the libraries that definitions of options use.

Everything else from outside of a package is not told by its source.
"""

from __future__ import annotations

import copy
import itertools
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from sartor.flags.static.classes import (
    MISSING,
    attribute_docs,
    defined_struct,
    known_function,
    type_hints,
)
from sartor.flags.static.expressions import is_type
from sartor.flags.static.methods import sort, type_of
from sartor.flags.static.values import (
    Bound,
    EnumMember,
    FieldSpec,
    Form,
    Function,
    Instance,
    ModuleValue,
    Native,
    PyClass,
    Raised,
    Special,
    Super,
    Unknown,
    first_unknown,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sartor.flags.static.interpreter import Interpreter
    from sartor.flags.static.values import Value

NONE_TYPE = None
"""``type(None)`` stands as None itself, as in a union."""
MOST_COMBINED = 5000
CLASSES = ("torch.dtype", "torch.device", "torch.Tensor", "transformers.PretrainedConfig")
"""Classes from outside that stand in types: none of Python's own."""
UNION = Special("Union")
TYPING = [
    "Any",
    "Literal",
    "Optional",
    "Annotated",
    "Final",
    "ClassVar",
    "Callable",
    "TypeVar",
    "TypeAlias",
    "Generic",
    "Protocol",
    "Type",
    "TypeGuard",
    "TypeIs",
    "Self",
    "NewType",
    "ParamSpec",
    "Concatenate",
    "Required",
    "NotRequired",
    "Never",
    "NamedTuple",
    "TypedDict",
    "LiteralString",
    "Unpack",
    "InitVar",
]
COLLECTIONS = {
    "List": list,
    "Dict": dict,
    "Tuple": tuple,
    "Set": set,
    "FrozenSet": frozenset,
}
FORMS = [
    "Callable",
    "Iterable",
    "Sequence",
    "Mapping",
    "Iterator",
    "Collection",
    "MutableMapping",
    "Awaitable",
]
IDENTITY = [
    "functools.cache",
    "functools.wraps",
    "typing.runtime_checkable",
    "typing.final",
    "typing.no_type_check",
    "abc.abstractmethod",
    "contextlib.contextmanager",
    "contextlib.asynccontextmanager",
    "enum.unique",
    "typing_extensions.runtime_checkable",
    "typing_extensions.deprecated",
]
DATACLASSES = ("dataclasses.dataclass", "pydantic.dataclasses.dataclass", "attrs.define")
ENUMS = ["Enum", "StrEnum", "IntEnum", "Flag", "IntFlag", "EnumMeta"]


def builtin_values(interpreter: Interpreter) -> dict[str, Value]:
    """Names that need no import."""
    own: dict[str, Value] = {
        kind.__name__: kind
        for kind in (int, str, float, bool, list, dict, tuple, set, frozenset, type, bytes, object)
    }
    own |= {"property": _marking("property"), "staticmethod": _marking("static")}
    own |= {"classmethod": _marking("class"), "Ellipsis": ..., "NotImplemented": None}
    functions: dict[str, Callable[..., Value]] = {
        "len": len,
        "range": range,
        "print": lambda *_, **__: None,
        "repr": lambda v: v if isinstance(v, Unknown) else repr(v),
        "sorted": lambda v, **kw: sort(interpreter, v, **kw),
        "reversed": lambda v: _of_items(interpreter, v, lambda i: i[::-1]),
        "enumerate": lambda v, start=0: _of_items(
            interpreter, v, lambda i: list(enumerate(i, start))
        ),
        "zip": lambda *vs, **_: _zipped(interpreter, *vs),
        "any": lambda v: _quantified(interpreter, v, wanted=True),
        "all": lambda v: _quantified(interpreter, v, wanted=False),
        "sum": lambda v, start=0: _of_items(interpreter, v, lambda i: _summed(i, start)),
        "max": lambda *vs, **kw: _extreme(interpreter, max, *vs, **kw),
        "min": lambda *vs, **kw: _extreme(interpreter, min, *vs, **kw),
        "map": lambda f, v: _of_items(
            interpreter, v, lambda i: [interpreter.call(f, [x], {}) for x in i]
        ),
        "filter": lambda f, v: _filtered(interpreter, f, v),
        "next": lambda v, *default: _next(interpreter, v, *default),
        "iter": lambda v: v,
        "isinstance": lambda v, kind: _is_instance(v, kind),
        "issubclass": lambda v, kind: _is_subclass(v, kind),
        "callable": lambda v: isinstance(v, (Function, Native, Bound, PyClass, type)),
        "hasattr": lambda v, name: _has(interpreter, v, name),
        "getattr": lambda v, name, *default: _get(interpreter, v, name, *default),
        "setattr": interpreter.set_attribute,
        "globals": lambda: Unknown("the names of a module"),
        "vars": lambda v: v.names if isinstance(v, (Instance, PyClass)) else Unknown("vars"),
        "id": lambda _: Unknown("an address"),
        "abs": abs,
        "round": round,
        "id_": id,
    }
    return own | {name: Native(name, act) for name, act in functions.items()}


def library_values(interpreter: Interpreter) -> dict[str, Value]:
    """Names from Python's library and others, by their dotted names."""
    found: dict[str, Value] = {}
    for module in ("typing", "typing_extensions", "types", "collections.abc"):
        found |= {f"{module}.{name}": Special(name) for name in (*TYPING, *FORMS)}
        found |= {f"{module}.{name}": kind for name, kind in COLLECTIONS.items()}
        found |= {f"{module}.Union": UNION, f"{module}.TYPE_CHECKING": False}
        found |= _typing_functions(module)
    found |= {"types.UnionType": UNION, "types.NoneType": NONE_TYPE}
    found |= {f"enum.{name}": Special(name) for name in ENUMS}
    found["enum.auto"] = Native("auto", lambda: Unknown("enum.auto"))
    found |= {name: Native(name, _identity) for name in IDENTITY}
    found["functools.lru_cache"] = Native("lru_cache", _decorator_or_factory)
    found["typing.overload"] = Native("overload", lambda f: f)
    for module in ("typing", "typing_extensions"):
        found[f"{module}.dataclass_transform"] = Native("transform", lambda **_: IDENTITY_FUNCTION)
    found |= _dataclass_values(interpreter)
    found |= {name: Special(name) for name in CLASSES}
    found |= _system_values(interpreter)
    return found


def _typing_functions(module: str) -> dict[str, Value]:
    return {
        f"{module}.cast": Native("cast", lambda _, value: value),
        f"{module}.get_args": Native("get_args", _get_args),
        f"{module}.get_origin": Native("get_origin", _get_origin),
        f"{module}.is_typeddict": Native(
            "is_typeddict", lambda v: isinstance(v, PyClass) and "TypedDict" in v.base_names()
        ),
    }


def _dataclass_values(interpreter: Interpreter) -> dict[str, Value]:
    found: dict[str, Value] = {name: Native("dataclass", _dataclass) for name in DATACLASSES}
    found |= {
        "dataclasses.field": Native("field", lambda **kw: _field("dataclasses", **kw)),
        "dataclasses.MISSING": MISSING,
        "dataclasses.KW_ONLY": Special("ClassVar"),
        "dataclasses.InitVar": Special("InitVar"),
        "dataclasses.fields": Native(
            "fields",
            lambda c: interpreter.fields(c if isinstance(c, PyClass) else c.cls),
        ),
        "dataclasses.is_dataclass": Native("is_dataclass", _is_dataclass),
        "dataclasses.asdict": Native("asdict", lambda v: dict(v.names)),
        "dataclasses.replace": Native(
            "replace", lambda v, **kw: Instance(v.cls, {**v.names, **kw})
        ),
        "pydantic.Field": Native("Field", lambda *a, **kw: _field("pydantic", *a, **kw)),
        "pydantic.fields.Field": Native("Field", lambda *a, **kw: _field("pydantic", *a, **kw)),
        "pydantic.fields.FieldInfo": Special("FieldInfo"),
        "pydantic.ConfigDict": Native("ConfigDict", lambda **kw: kw),
        "pydantic.BaseModel": Special("BaseModel"),
        "msgspec.Struct": Special("Struct"),
        "msgspec.NODEFAULT": MISSING,
        "msgspec.field": Native("field", lambda **kw: _field("dataclasses", **kw)),
        "msgspec.structs.fields": Native(
            "fields", lambda c: interpreter.fields(c if isinstance(c, PyClass) else c.cls)
        ),
        "msgspec.defstruct": Native(
            "defstruct", lambda name, fields, **kw: _defstruct(interpreter, name, fields, **kw)
        ),
        "pydantic.TypeAdapter": Native("TypeAdapter", lambda *_, **__: _adapter()),
        "pydantic.ValidationError": Special("ValidationError"),
        "inspect.getdoc": Native("getdoc", lambda c: interpreter.attribute(c, "__doc__")),
    }
    for module in ("typing", "typing_extensions"):
        found[f"{module}.get_type_hints"] = Native(
            "get_type_hints", lambda c, **_: type_hints(interpreter, c)
        )
    for name in ("SkipValidation", "StrictBool", "NonNegativeInt", "PositiveInt"):
        found[f"pydantic.{name}"] = Special(name)
    for name in ("field_validator", "model_validator", "validator", "field_serializer"):
        found[f"pydantic.{name}"] = Native(name, lambda *_, **__: IDENTITY_FUNCTION)
    return found


def _system_values(interpreter: Interpreter) -> dict[str, Value]:
    """Of the machine: nothing is in the environment, and help is asked for."""
    none: Value = None
    get = Native("getenv", lambda _, default=none: default)
    return {
        "os.environ": {},
        "os.getenv": get,
        "os.path.join": Native("join", lambda *parts: _joined_path(*parts)),
        "os.path.expanduser": Native("expanduser", lambda v: v),
        "sys.argv": ["engine", "serve", "--help=all"],
        "sys.modules": {},
        "sys.version_info": (3, 12, 0, "final", 0),
        "sys.platform": "linux",
        "sys.maxsize": (1 << 63) - 1,
        "json.loads": Native("loads", _loads),
        "json.dumps": Native("dumps", _dumps),
        "json.JSONDecodeError": json.JSONDecodeError,
        "json.decoder.JSONDecodeError": json.JSONDecodeError,
        "copy.copy": Native("copy", lambda v: _copied(v, deep=False)),
        "copy.deepcopy": Native("deepcopy", lambda v: _copied(v, deep=True)),
        "itertools.permutations": Native(
            "permutations", lambda v, r=None: _combined(interpreter, itertools.permutations, v, r)
        ),
        "itertools.combinations": Native(
            "combinations", lambda v, r: _combined(interpreter, itertools.combinations, v, r)
        ),
        "itertools.chain": Native("chain", lambda *vs: _chained(interpreter, *vs)),
        "itertools.chain.from_iterable": Native(
            "chain",
            lambda v: _chained(interpreter, *interpreter.items(v)),  # type: ignore[misc]
        ),
        "functools.partial": Native(
            "partial",
            lambda f, *a, **kw: Native(
                "partial", lambda *b, **more: interpreter.call(f, [*a, *b], {**kw, **more})
            ),
        ),
        "collections.defaultdict": Native("defaultdict", lambda *_: {}),
        "collections.OrderedDict": dict,
        "operator.attrgetter": Native(
            "attrgetter", lambda name: Native(name, lambda v: interpreter.attribute(v, name))
        ),
        "re.compile": Native("compile", lambda *_: Unknown("an expression")),
        "re.match": Native("match", _match),
        "re.fullmatch": Native("fullmatch", lambda p, v, *_: _match(p, v, full=True)),
        "regex.match": Native("match", _match),
        "regex.fullmatch": Native("fullmatch", lambda p, v, *_: _match(p, v, full=True)),
        **{f"{m}.split": Native("split", _split) for m in ("re", "regex")},
        **{
            f"{m}.sub": Native("sub", lambda p, new, text: _substituted(interpreter, p, new, text))
            for m in ("re", "regex")
        },
        "decimal.Decimal": float,
        "ssl.CERT_NONE": 0,
        "ssl.CERT_OPTIONAL": 1,
        "ssl.CERT_REQUIRED": 2,
        "warnings.warn": known_function("warn", None),
        "textwrap.dedent": Native("dedent", lambda v: v),
        "argparse.SUPPRESS": "==SUPPRESS==",
        "argparse.REMAINDER": "...",
        "argparse.ArgumentTypeError": Special("ArgumentTypeError"),
        "contextlib.suppress": known_function("suppress", None),
    }


def _identity(value: Value = None, *_: Value, **__: Value) -> Value:
    return value


IDENTITY_FUNCTION = Native("identity", _identity)


def _decorator_or_factory(value: Value = None, *_: Value, **__: Value) -> Value:
    return value if isinstance(value, (Function, PyClass)) else IDENTITY_FUNCTION


def _marking(kind: str) -> Native:
    def mark(value: Value = None, *_: Value) -> Value:
        return replace(value, kind=kind) if isinstance(value, Function) else value

    return Native(kind, mark)


def _dataclass(cls: Value = None, *_: Value, **__: Value) -> Value:
    if isinstance(cls, PyClass):
        cls.is_dataclass = True
        return cls
    return Native("dataclass", _dataclass)


def _defstruct(
    interpreter: Interpreter, name: Value, fields: Value, namespace: Value = None, **_: Value
) -> Value:
    items = interpreter.items(fields)
    unknown = first_unknown(items, name, namespace)
    if unknown:
        return unknown
    return defined_struct(_match_class(), str(name), list(items), namespace)  # type: ignore[arg-type]


def _is_dataclass(value: Value) -> Value:
    if isinstance(value, Unknown):
        return value
    cls = value.cls if isinstance(value, Instance) else value
    return isinstance(cls, PyClass) and cls.is_dataclass


def _field(kind: str, default: Value = MISSING, **given: Value) -> FieldSpec:
    factory = given.get("default_factory", MISSING)
    if kind == "pydantic":
        factory = None if factory is MISSING else factory
        default = (
            Special("PydanticUndefined") if default is MISSING and factory is None else default
        )
    elif default is ...:
        default = MISSING
    metadata = given.get("metadata")
    found = FieldSpec(default, factory, kind, metadata if isinstance(metadata, dict) else {})
    found.init = given.get("init", True)
    return found


def _get_args(value: Value) -> Value:
    if isinstance(value, Unknown):
        return value
    return value.args if isinstance(value, Form) else ()


def _get_origin(value: Value) -> Value:
    if isinstance(value, (Unknown, FieldSpec)):
        return value if isinstance(value, Unknown) else None
    return value.origin if isinstance(value, Form) else None


def _is_instance(value: Value, kind: Value) -> Value:
    if isinstance(kind, Form):
        kind = kind.args
    if isinstance(kind, tuple):
        answers = [_is_instance(value, one) for one in kind]
        return True if True in answers else first_unknown(*answers) or False
    if isinstance(value, Unknown) or isinstance(kind, Unknown):
        return first_unknown(value, kind)
    if kind is type:
        return isinstance(value, (type, PyClass))
    if isinstance(kind, Special):
        return _is_special(value, kind.name)
    if isinstance(kind, PyClass):
        return isinstance(value, (Instance, EnumMember)) and kind in value.cls.mro()
    if kind is None:
        return value is None
    if isinstance(value, EnumMember):
        return _is_subclass(value.cls, kind)
    return isinstance(value, kind) if isinstance(kind, type) else Unknown("isinstance")


def _is_special(value: Value, name: str) -> Value:
    if name == "FieldInfo":
        return isinstance(value, FieldSpec) and value.kind == "pydantic"
    if name in {"Sequence", "Iterable", "Collection"}:
        return isinstance(value, (list, tuple, str, dict, set))
    if name in {"Mapping", "MutableMapping"}:
        return isinstance(value, dict)
    if name == "Callable":
        return isinstance(value, (Function, Native, Bound, PyClass, type))
    if name in ENUMS:
        return isinstance(value, EnumMember)
    return False


def _is_subclass(value: Value, kind: Value) -> Value:
    if isinstance(kind, tuple):
        answers = [_is_subclass(value, one) for one in kind]
        return True if True in answers else first_unknown(*answers) or False
    if isinstance(value, Unknown) or isinstance(kind, Unknown):
        return first_unknown(value, kind)
    if isinstance(value, PyClass):
        name = getattr(kind, "name", None) or getattr(kind, "__name__", None)
        return kind in value.mro() or (not isinstance(kind, PyClass) and name in value.base_names())
    if isinstance(value, type) and isinstance(kind, type):
        return issubclass(value, kind)
    if not is_type(value) or isinstance(value, Form):
        raise Raised("TypeError", None, "issubclass() of no class")
    return False


def _has(interpreter: Interpreter, value: Value, name: str) -> Value:
    try:
        found = interpreter.attribute(value, name)
    except Raised:
        return False
    return found if isinstance(found, Unknown) else True


def _get(interpreter: Interpreter, value: Value, name: str, *default: Value) -> Value:
    if isinstance(name, Unknown):
        return name
    try:
        return interpreter.attribute(value, str(name))
    except Raised:
        if default:
            return default[0]
        raise


def _of_items(interpreter: Interpreter, value: Value, act: Callable[[list[Value]], Value]) -> Value:
    items = interpreter.items(value)
    return items if isinstance(items, Unknown) else act(items)


def _zipped(interpreter: Interpreter, *values: Value) -> Value:
    lists: list[list[Value]] = []
    for value in values:
        items = interpreter.items(value)
        if isinstance(items, Unknown):
            return items
        lists.append(items)
    return list(zip(*lists, strict=False))


def _chained(interpreter: Interpreter, *values: Value) -> Value:
    found: list[Value] = []
    for value in values:
        items = interpreter.items(value)
        if isinstance(items, Unknown):
            return items
        found += items
    return found


def _combined(
    interpreter: Interpreter, act: Callable[..., Iterable[Value]], value: Value, size: Value
) -> Value:
    items = interpreter.items(value)
    if isinstance(items, Unknown):
        return items
    return list(itertools.islice(act(items, size), MOST_COMBINED))


def _quantified(interpreter: Interpreter, value: Value, *, wanted: bool) -> Value:
    items = interpreter.items(value)
    if isinstance(items, Unknown):
        return items
    answers = [interpreter.truth(item) for item in items]
    if wanted in answers:
        return wanted
    return first_unknown(*answers) or not wanted


def _summed(items: list[Value], start: Value) -> Value:
    unknown = first_unknown(*items)
    if unknown:
        return unknown
    if isinstance(start, list):
        return [inner for item in items for inner in item]  # type: ignore[attr-defined]
    return sum(items, start)  # type: ignore[call-overload]


def _extreme(
    interpreter: Interpreter, act: Callable[..., Value], *values: Value, **given: Value
) -> Value:
    items = interpreter.items(values[0]) if len(values) == 1 else list(values)
    if isinstance(items, Unknown):
        return items
    if unknown := first_unknown(*items):
        return unknown
    if not items:
        if "default" in given:
            return given["default"]
        raise Raised("ValueError", None, "of nothing")
    return act(items)


def _filtered(interpreter: Interpreter, act: Value, value: Value) -> Value:
    items = interpreter.items(value)
    if isinstance(items, Unknown):
        return items
    kept = []
    for item in items:
        truth = interpreter.truth(item if act is None else interpreter.call(act, [item], {}))
        if isinstance(truth, Unknown):
            return truth
        if truth:
            kept.append(item)
    return kept


def _next(interpreter: Interpreter, value: Value, *default: Value) -> Value:
    items = interpreter.items(value)
    if isinstance(items, Unknown):
        return items
    if items:
        return items[0]
    if default:
        return default[0]
    raise Raised("StopIteration")


def _joined_path(*parts: Value) -> Value:
    unknown = first_unknown(*parts)
    return unknown or "/".join(str(part) for part in parts)


def _loads(text: Value) -> Value:
    if isinstance(text, Unknown):
        return text
    try:
        found: Value = json.loads(str(text))
    except (ValueError, RecursionError) as error:
        raise Raised("JSONDecodeError", json.JSONDecodeError, str(error)) from error
    return found


def _dumps(value: Value, **_: Value) -> Value:
    return first_unknown(value) or json.dumps(value, default=str)


def _adapter() -> Value:
    """Pydantic's reader of JSON: whether what it reads fits the type is not tried."""

    def read(text: Value) -> Value:
        try:
            return _loads(text)
        except Raised as raised:
            raise Raised("ValidationError", Special("ValidationError"), raised.text) from raised

    return Instance(_match_class(), {"validate_json": Native("validate_json", read)})


def _split(pattern: Value, text: Value, *_: Value) -> Value:
    if pattern not in SIMPLE or not isinstance(text, str) or len(text) > 64:
        return Unknown("an expression that is not evaluated")
    return re.split(str(pattern), text)


def _substituted(interpreter: Interpreter, pattern: Value, new: Value, text: Value) -> Value:
    if pattern not in SIMPLE or not isinstance(text, str) or len(text) > 64:
        return Unknown("an expression that is not evaluated")
    if not re.search(str(pattern), text):
        return text
    return Unknown("what an expression puts in")


def _match(pattern: Value, text: Value, *_: Value, full: bool = False) -> Value:
    """Whether one of the few simple expressions of type functions matches; else not told."""
    if not isinstance(pattern, str) or not isinstance(text, str) or len(text) > 64:
        return Unknown("an expression")
    if pattern not in SIMPLE:
        return Unknown("an expression that is not evaluated")
    found = re.fullmatch(pattern, text) if full else re.match(pattern, text)
    if found is None:
        return None
    groups = found.groups()
    cls = _match_class()
    names = {"groups": Native("groups", lambda: groups), "group": Native("group", found.group)}
    return Instance(cls, dict(names))


SIMPLE = frozenset(
    {
        r"(\d+(?:\.\d+)?)([kKmMgGtT])",
        r"(?s)^\s*{.*}\s*$",
        r"^\s*{.*}\s*$",
        "^{.*}$",
        r"(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|k|M|G|T)",
        r'("(?:[^"\\]|\\.)*")',
        r"\b\d+(?:\.\d+)?[kKmMgGtT]\b",
    }
)
"""Patterns that are matched: no other is, for a pattern may take for ever."""


def _match_class() -> PyClass:
    import ast

    node = ast.parse("class Match: pass").body[0]
    if not isinstance(node, ast.ClassDef):  # pragma: no cover
        raise TypeError
    from sartor.flags.static.module import Module
    from sartor.flags.static.values import Scope

    module = Module("re", "re.py", ast.parse(""))
    outside = Unknown("an attribute of Python's own object")
    return PyClass("Match", [outside], {}, {}, node, Scope(module))


def _copied(value: Value, *, deep: bool) -> Value:
    """A copy of containers; what is in them stays itself unless it is a container too."""
    if isinstance(value, dict):
        return {k: _copied(v, deep=deep) if deep else v for k, v in value.items()}
    if isinstance(value, list):
        return [_copied(v, deep=deep) if deep else v for v in value]
    if isinstance(value, Instance):
        return copy.copy(value)
    return value


__all__ = [
    "ModuleValue",
    "Super",
    "attribute_docs",
    "builtin_values",
    "library_values",
    "type_of",
]
