"""Classes of the package: their attributes, objects, fields and members."""

from __future__ import annotations

import ast
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from sartor.flags.static.module import no_name
from sartor.flags.static.values import (
    Bound,
    EnumMember,
    FieldSpec,
    Form,
    Function,
    Instance,
    Native,
    PyClass,
    Raised,
    Scope,
    Special,
    Unknown,
)

if TYPE_CHECKING:
    from sartor.flags.static.interpreter import Interpreter
    from sartor.flags.static.values import Value

MISSING = Special("MISSING")
CLASS_VARS = {"ClassVar", "InitVar"}


def class_attribute(interpreter: Interpreter, cls: PyClass, name: str) -> Value:
    """An attribute of a class; raises `Raised` where it and its bases are known, and lack it."""
    found = cls.find(name)
    if found is not None:
        return _of_class(cls, found[1])
    special = _class_special(interpreter, cls, name)
    if special is not None:
        return special[0]
    known_bases = all(
        isinstance(b, (PyClass, Special, Form, type)) for c in cls.mro() for b in c.bases
    )
    if known_bases and not name.startswith("__"):
        raise no_name(name, cls.name)
    return Unknown(f"`{cls.name}.{name}` may come from a base outside of this package")


def _of_class(cls: PyClass, value: Value) -> Value:
    """A class's own value, as it is seen through the class."""
    if isinstance(value, Function) and value.kind == "class":
        return Bound(cls, value)
    if isinstance(value, FieldSpec) and cls.is_dataclass:
        if value.default is not MISSING:
            return value.default
        if value.kind == "dataclasses":
            raise Raised("AttributeError", None, f"`{cls.name}` has no such default")
    return value


def _class_special(interpreter: Interpreter, cls: PyClass, name: str) -> tuple[Value] | None:
    match name:
        case "__name__" | "__qualname__":
            return (cls.name,)
        case "__module__":
            return (cls.scope.module.name,)
        case "__doc__":
            return (ast.get_docstring(cls.node),)
        case "__members__" if cls.members is not None:
            return (dict(cls.members),)
        case "__mro__":
            return (tuple(cls.mro()),)
        case "__bases__":
            return (tuple(cls.bases),)
        case "__annotations__":
            return (annotated(interpreter, cls),)
        case "__dict__":
            return (cls.names,)
        case "__dataclass_fields__" | "model_fields" if cls.is_dataclass:
            return ({f.name: f for f in dataclass_fields(interpreter, cls)},)
        case _:
            return None


def instance_attribute(interpreter: Interpreter, value: Instance, name: str) -> Value:
    """An attribute of an object; properties are evaluated."""
    if name in value.names:
        return value.names[name]
    if name == "__class__":
        return value.cls
    if name == "__dict__":
        return value.names
    found = value.cls.find(name)
    if found is None:
        return class_attribute(interpreter, value.cls, name)
    inner = found[1]
    if isinstance(inner, Function):
        if inner.kind == "property":
            return interpreter.call(inner, [value], {})
        if inner.kind == "static":
            return inner
        return Bound(value.cls if inner.kind == "class" else value, inner)
    if isinstance(inner, Instance) and (getter := inner.cls.find("__get__")):
        return interpreter.call(getter[1], [inner, value, value.cls], {})
    return inner


def make_instance(
    interpreter: Interpreter, cls: PyClass, args: list[Value], kwargs: dict[str, Value]
) -> Value:
    """An object of a class; of a dataclass with its fields, of a dict's kin a dict."""
    if "dict" in cls.base_names() and cls.find("__init__") is None:
        return {**(args[0] if args and isinstance(args[0], dict) else {}), **kwargs}
    made = Instance(cls)
    if cls.is_dataclass and cls.find("__init__") is None:
        _fill(interpreter, made, args, kwargs)
        after = cls.find("__post_init__")
    else:
        after = cls.find("__init__")
    if after is not None:
        plain = not (cls.is_dataclass and cls.find("__init__") is None)
        try:
            interpreter.call(after[1], [made, *(args if plain else ())], kwargs if plain else {})
        except Raised:
            if not cls.is_dataclass:
                raise
    return made


def _fill(
    interpreter: Interpreter, made: Instance, args: list[Value], kwargs: dict[str, Value]
) -> None:
    fields = dataclass_fields(interpreter, made.cls)
    given = {f.name: value for f, value in zip(fields, args, strict=False)} | kwargs
    for spec in fields:
        if spec.name in given:
            made.names[spec.name] = given[spec.name]
        else:
            made.names[spec.name] = default_of(interpreter, spec)


def default_of(interpreter: Interpreter, spec: FieldSpec) -> Value:
    """The default of a field; `MISSING` where it has none."""
    default = spec.default
    if isinstance(default, FieldSpec):
        return default_of(interpreter, default)
    if default is MISSING and spec.factory not in (MISSING, None):
        return interpreter.call(spec.factory, [], {})
    return default


def enum_by_value(cls: PyClass, args: list[Value]) -> Value:
    """The member of an enumeration that has a value; raises `Raised` without one."""
    if args and isinstance(args[0], (Unknown, EnumMember)):
        return args[0]
    for member in (cls.members or {}).values():
        if args and type(member.value) is type(args[0]) and member.value == args[0]:
            return member
    raise Raised("ValueError", None, f"no member of `{cls.name}`")


def dataclass_fields(interpreter: Interpreter, cls: PyClass) -> list[FieldSpec]:
    """The fields of a dataclass in their order, those of its bases first."""
    found: dict[str, FieldSpec] = {}
    for below in reversed(cls.mro()):
        if not (below.is_dataclass or below is cls):
            continue
        for name, kind in annotated(interpreter, below).items():
            if _is_class_var(kind):
                continue
            found[name] = _field(name, kind, below.names.get(name, MISSING))
    return list(found.values())


def annotated(interpreter: Interpreter, cls: PyClass) -> dict[str, Value]:
    """The types that a class gives its own names."""
    if cls.types is not None:
        return dict(cls.types)
    inside = Scope(cls.scope.module, cls.scope, cls.names, is_class=True, cls=cls)
    return {
        name: interpreter.evaluate(annotation, inside)
        for name, annotation in cls.annotations.items()
    }


def type_hints(interpreter: Interpreter, cls: Value) -> Value:
    """The types of a class's names and of those of its bases."""
    if not isinstance(cls, PyClass):
        return cls if isinstance(cls, Unknown) else Unknown("the types of an object's names")
    found: dict[str, Value] = {}
    for below in reversed(cls.mro()):
        found |= annotated(interpreter, below)
    return found


def defined_struct(cls: PyClass, name: str, fields: list[Value], names: Value) -> PyClass:
    """What ``msgspec.defstruct`` makes; ``cls`` is any class of the same module."""
    own: dict[str, Value] = dict(names) if isinstance(names, dict) else {}
    types: dict[str, Value] = {}
    for one in fields:
        if isinstance(one, tuple) and len(one) >= 2:
            types[str(one[0])] = one[1]
            if len(one) > 2:
                own[str(one[0])] = one[2]
    made = PyClass(name, [Special("Struct")], own, {}, cls.node, cls.scope, types=types)
    made.is_dataclass = True
    return made


def _is_class_var(kind: Value) -> bool:
    origin = kind.origin if isinstance(kind, Form) else kind
    return isinstance(origin, Special) and origin.name in CLASS_VARS


def _field(name: str, kind: Value, value: Value) -> FieldSpec:
    """What ``dataclasses.fields`` says of one: pydantic's own specification is its default."""
    if isinstance(value, FieldSpec) and value.kind == "dataclasses":
        return replace(value, name=name, type=kind)
    return FieldSpec(value, MISSING, "dataclasses", {}, name, kind)


def attribute_docs(cls: PyClass) -> dict[str, Value]:
    """The texts that stand below the attributes of a class and of its bases."""
    found: dict[str, Value] = {}
    for below in reversed(cls.mro()):
        body = below.node.body
        for statement, after in pairwise(body):
            target = getattr(statement, "target", None) or next(
                iter(getattr(statement, "targets", [])), None
            )
            if isinstance(target, ast.Name) and isinstance(after, ast.Expr):
                text = after.value.value if isinstance(after.value, ast.Constant) else None
                if isinstance(text, str):
                    found[target.id] = "\n".join(line.strip() for line in text.strip().split("\n"))
    return found


def known_function(name: str, value: Value) -> Native:
    """A function that gives the same whatever it is asked."""
    return Native(name, lambda *_, **__: value)
