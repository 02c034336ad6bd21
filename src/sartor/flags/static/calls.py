"""Parts of calls and types: arguments given their names, methods, types with arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.flags.static.values import (
    Bound,
    FieldSpec,
    Form,
    Function,
    Instance,
    Raised,
    Scope,
    Special,
    Unknown,
    first_unknown,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sartor.flags.static.values import Value

SPECIAL = {"__module__": "typing"}
"""Attributes of the forms of `typing`."""


def bound(value: Value, owner: Value) -> Value:
    """A function as a method of ``owner``."""
    if isinstance(value, Function):
        if value.kind == "static":
            return value
        if value.kind == "class":
            owner = owner.cls if isinstance(owner, Instance) else owner
        return Bound(owner, value)
    return value


def bind_arguments(
    function: Function, args: list[Value], kwargs: dict[str, Value], scope: Scope
) -> None:
    """Give a call's arguments their names; raises `Raised` where they do not fit."""
    spec = function.node.args
    positional = [a.arg for a in (*spec.posonlyargs, *spec.args)]
    names = scope.names
    names.update(zip(positional[::-1], function.defaults[::-1], strict=False))
    names.update(function.keyword_defaults)
    names.update(zip(positional, args, strict=False))
    rest = args[len(positional) :]
    if spec.vararg:
        names[spec.vararg.arg] = tuple(rest)
    elif rest:
        raise Raised("TypeError", None, f"`{function.name}` takes {len(positional)} arguments")
    taken = {*positional, *(a.arg for a in spec.kwonlyargs)}
    names.update({k: v for k, v in kwargs.items() if k in taken})
    more = {k: v for k, v in kwargs.items() if k not in taken}
    if spec.kwarg:
        names[spec.kwarg.arg] = more
    elif more:
        raise Raised("TypeError", None, f"`{function.name}` takes no `{next(iter(more))}`")
    missing = [name for name in taken if name not in names]
    if missing:
        raise Raised("TypeError", None, f"`{function.name}` misses `{missing[0]}`")


def called_natively(
    act: Callable[..., Value], args: list[Value], kwargs: dict[str, Value]
) -> Value:
    """What a known function gives; its exceptions are the source\'s."""
    try:
        return act(*args, **kwargs)
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
        unknown = first_unknown(*args, *kwargs.values())
        if unknown:
            return unknown
        raise Raised(type(error).__name__, None, str(error)[:200]) from error


def type_with(value: Value, key: Value) -> Value:
    """A type with arguments; a ``Literal`` in a ``Literal`` stands for what is in it."""
    args = key if isinstance(key, tuple) else (key,)
    if getattr(value, "name", "") not in {"Annotated", "Literal"}:
        args = tuple(Special("ForwardRef") if isinstance(a, str) else a for a in args)
    if isinstance(value, Special) and value.name == "SkipValidation":
        return Form(Special("Annotated"), (*args, value))
    if isinstance(value, Special) and value.name == "Optional":
        return Form(Special("Union"), (*args, None))
    if isinstance(value, Special) and value.name == "Literal":
        flat: list[Value] = []
        for arg in args:
            inner = isinstance(arg, Form) and getattr(arg.origin, "name", "") == "Literal"
            flat += arg.args if inner and isinstance(arg, Form) else (arg,)
        return Form(value, tuple(dict.fromkeys(flat)))
    return Form(value, tuple(args))


def field_attribute(value: FieldSpec, name: str) -> Value:
    """An attribute of what ``dataclasses.fields`` gives."""
    found = {
        "default": value.default,
        "default_factory": value.factory,
        "metadata": value.metadata,
        "name": value.name,
        "type": value.type,
        "init": value.init if value.kind == "dataclasses" else None,
    }
    return found.get(name, Unknown(f"a field's `{name}`"))
