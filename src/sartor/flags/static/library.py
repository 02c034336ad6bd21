"""What is known of Python's builtins and of the libraries that definitions of options use.

Everything else from outside of a package is not told by its source.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

from sartor.flags.static.classes import (
    MISSING,
    known_function,
    type_hints,
)
from sartor.flags.static.known import (
    ENUMS,
    IDENTITY_FUNCTION,
    adapter,
    chained,
    combined,
    copied,
    dataclass_of,
    decorator_or_factory,
    defstruct,
    dumps,
    extreme,
    field_of,
    filtered,
    first_of,
    get_args,
    get_attribute,
    get_origin,
    has_attribute,
    identity,
    is_dataclass,
    is_instance,
    is_subclass,
    joined_path,
    loads,
    marking,
    matched,
    of_items,
    quantified,
    split,
    substituted,
    summed,
    zipped,
)
from sartor.flags.static.methods import sort
from sartor.flags.static.values import (
    Bound,
    Function,
    Instance,
    Native,
    PyClass,
    Special,
    Unknown,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sartor.flags.static.interpreter import Interpreter
    from sartor.flags.static.values import Value

NONE_TYPE = None
"""``type(None)`` stands as None itself, as in a union."""
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


def builtin_values(interpreter: Interpreter) -> dict[str, Value]:
    """Names that need no import."""
    own: dict[str, Value] = {
        kind.__name__: kind
        for kind in (int, str, float, bool, list, dict, tuple, set, frozenset, type, bytes, object)
    }
    own |= {"property": marking("property"), "staticmethod": marking("static")}
    own |= {"classmethod": marking("class"), "Ellipsis": ..., "NotImplemented": None}
    functions: dict[str, Callable[..., Value]] = {
        "len": len,
        "range": range,
        "print": lambda *_, **__: None,
        "repr": lambda v: v if isinstance(v, Unknown) else repr(v),
        "sorted": lambda v, **kw: sort(interpreter, v, **kw),
        "reversed": lambda v: of_items(interpreter, v, lambda i: i[::-1]),
        "enumerate": lambda v, start=0: of_items(
            interpreter, v, lambda i: list(enumerate(i, start))
        ),
        "zip": lambda *vs, **_: zipped(interpreter, *vs),
        "any": lambda v: quantified(interpreter, v, wanted=True),
        "all": lambda v: quantified(interpreter, v, wanted=False),
        "sum": lambda v, start=0: of_items(interpreter, v, lambda i: summed(i, start)),
        "max": lambda *vs, **kw: extreme(interpreter, max, *vs, **kw),
        "min": lambda *vs, **kw: extreme(interpreter, min, *vs, **kw),
        "map": lambda f, v: of_items(
            interpreter, v, lambda i: [interpreter.call(f, [x], {}) for x in i]
        ),
        "filter": lambda f, v: filtered(interpreter, f, v),
        "next": lambda v, *default: first_of(interpreter, v, *default),
        "iter": lambda v: v,
        "isinstance": is_instance,
        "issubclass": is_subclass,
        "callable": lambda v: isinstance(v, (Function, Native, Bound, PyClass, type)),
        "hasattr": lambda v, name: has_attribute(interpreter, v, name),
        "getattr": lambda v, name, *default: get_attribute(interpreter, v, name, *default),
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
    found |= {name: Native(name, identity) for name in IDENTITY}
    found["functools.lru_cache"] = Native("lru_cache", decorator_or_factory)
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
        f"{module}.get_args": Native("get_args", get_args),
        f"{module}.get_origin": Native("get_origin", get_origin),
        f"{module}.is_typeddict": Native(
            "is_typeddict", lambda v: isinstance(v, PyClass) and "TypedDict" in v.base_names()
        ),
    }


def _dataclass_values(interpreter: Interpreter) -> dict[str, Value]:
    found: dict[str, Value] = {name: Native("dataclass", dataclass_of) for name in DATACLASSES}
    found |= {
        "dataclasses.field": Native("field", lambda **kw: field_of("dataclasses", **kw)),
        "dataclasses.MISSING": MISSING,
        "dataclasses.KW_ONLY": Special("ClassVar"),
        "dataclasses.InitVar": Special("InitVar"),
        "dataclasses.fields": Native(
            "fields",
            lambda c: interpreter.fields(c if isinstance(c, PyClass) else c.cls),
        ),
        "dataclasses.is_dataclass": Native("is_dataclass", is_dataclass),
        "dataclasses.asdict": Native("asdict", lambda v: dict(v.names)),
        "dataclasses.replace": Native(
            "replace", lambda v, **kw: Instance(v.cls, {**v.names, **kw})
        ),
        "pydantic.Field": Native("Field", lambda *a, **kw: field_of("pydantic", *a, **kw)),
        "pydantic.fields.Field": Native("Field", lambda *a, **kw: field_of("pydantic", *a, **kw)),
        "pydantic.fields.FieldInfo": Special("FieldInfo"),
        "pydantic.ConfigDict": Native("ConfigDict", lambda **kw: kw),
        "pydantic.BaseModel": Special("BaseModel"),
        "msgspec.Struct": Special("Struct"),
        "msgspec.NODEFAULT": MISSING,
        "msgspec.field": Native("field", lambda **kw: field_of("dataclasses", **kw)),
        "msgspec.structs.fields": Native(
            "fields", lambda c: interpreter.fields(c if isinstance(c, PyClass) else c.cls)
        ),
        "msgspec.defstruct": Native(
            "defstruct", lambda name, fields, **kw: defstruct(interpreter, name, fields, **kw)
        ),
        "pydantic.TypeAdapter": Native("TypeAdapter", lambda *_, **__: adapter()),
        "pydantic.ValidationError": Special("ValidationError"),
        "inspect.getdoc": Native("getdoc", lambda c: interpreter.attribute(c, "__doc__")),
    }
    for module in ("typing", "typing_extensions"):
        found[f"{module}.get_type_hints"] = Native(
            "get_type_hints", lambda c, **_: type_hints(interpreter, c)
        )
    found["pydantic.functional_validators.SkipValidation"] = Special("SkipValidation")
    for name in ("SkipValidation", "StrictBool", "NonNegativeInt", "PositiveInt"):
        found[f"pydantic.{name}"] = Special(name)
    for name in ("field_validator", "model_validator", "validator", "field_serializer"):
        found[f"pydantic.{name}"] = Native(name, lambda *_, **__: IDENTITY_FUNCTION)
    return found


def _expressions(module: str) -> dict[str, Value]:
    """What is asked of regular expressions, by `re` and by the `regex` that may stand for it."""
    return {
        f"{module}.match": Native("match", matched),
        f"{module}.fullmatch": Native("fullmatch", lambda p, v, *_: matched(p, v, full=True)),
        f"{module}.split": Native("split", split),
        f"{module}.sub": Native("sub", lambda p, _, text: substituted(p, text)),
    }


def _system_values(interpreter: Interpreter) -> dict[str, Value]:
    """Of the machine: nothing is in the environment, and help is asked for."""
    none: Value = None
    get = Native("getenv", lambda _, default=none: default)
    return {
        "os.environ": {},
        "os.getenv": get,
        "os.path.join": Native("join", joined_path),
        "os.path.expanduser": Native("expanduser", lambda v: v),
        "sys.argv": ["engine", "serve", "--help=all"],
        "sys.modules": {},
        "sys.version_info": (3, 12, 0, "final", 0),
        "sys.platform": "linux",
        "sys.maxsize": (1 << 63) - 1,
        "json.loads": Native("loads", loads),
        "json.dumps": Native("dumps", dumps),
        "json.JSONDecodeError": json.JSONDecodeError,
        "json.decoder.JSONDecodeError": json.JSONDecodeError,
        "copy.copy": Native("copy", lambda v: copied(v, deep=False)),
        "copy.deepcopy": Native("deepcopy", lambda v: copied(v, deep=True)),
        "itertools.permutations": Native(
            "permutations", lambda v, r=None: combined(interpreter, itertools.permutations, v, r)
        ),
        "itertools.combinations": Native(
            "combinations", lambda v, r: combined(interpreter, itertools.combinations, v, r)
        ),
        "itertools.chain": Native("chain", lambda *vs: chained(interpreter, *vs)),
        "itertools.chain.from_iterable": Native(
            "chain",
            lambda v: chained(interpreter, *interpreter.items(v)),  # type: ignore[misc]
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
        **_expressions("re"),
        **_expressions("regex"),
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
