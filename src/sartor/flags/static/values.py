"""What evaluating a package's source gives, besides plain numbers, texts and containers.

`Unknown` is a value of its own: what could not be told from the source, with the reason. It goes
through every operation, so that nothing is made up from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import ast
    from collections.abc import Callable

    from sartor.flags.static.module import Module

Value = object
PLAIN = (str, int, float, bytes, bool, type(None))


class Unknown:
    """A value that the source alone does not tell, and why."""

    def __init__(self, why: str) -> None:
        self.why = why

    def __repr__(self) -> str:
        return f"Unknown({self.why!r})"


class Raised(Exception):  # noqa: N818 - an exception of the evaluated source, not of ours
    """The source raises. ``kind`` is the exception's class name, ``value`` what was raised."""

    def __init__(self, kind: str, value: Value = None, text: str = "") -> None:
        super().__init__(f"{kind}: {text}" if text else kind)
        self.kind = kind
        self.value = value
        self.text = text


class TooMuch(Exception):  # noqa: N818 - the evaluation ends; the source may be in order
    """More steps, or larger values, than any engine's definitions take."""


class Call(Protocol):
    """How a value is called: by whoever evaluates."""

    def __call__(self, function: Value, *args: Value, **kwargs: Value) -> Value:
        """The call's value."""


@dataclass(eq=False, repr=False)
class Native:
    """A function of Python or its library that is known here."""

    name: str
    function: Callable[..., Value]


@dataclass(frozen=True)
class Special:
    """A form of `typing` without its arguments, or another constant known by its name alone."""

    name: str

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True, repr=False)
class Form:
    """A type with arguments: ``list[str]``, ``Literal["a"]``, ``int | None``."""

    origin: Value
    args: tuple[Value, ...]

    def __hash__(self) -> int:
        return hash((self.origin, len(self.args)))


@dataclass(eq=False, repr=False)
class FieldSpec:
    """What ``dataclasses.field`` or pydantic's ``Field`` was given."""

    default: Value
    factory: Value
    kind: str = "dataclasses"
    metadata: dict[Value, Value] = field(default_factory=dict)
    name: str = ""
    type: Value = None
    init: Value = True


@dataclass(eq=False, repr=False)
class Scope:
    """The names of one call, class body or comprehension."""

    module: Module
    parent: Scope | None = None
    names: dict[str, Value] = field(default_factory=dict)
    is_class: bool = False
    cls: PyClass | None = None
    outer: set[str] = field(default_factory=set)


@dataclass(eq=False, repr=False)
class Function:
    """A function of the package."""

    name: str
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    scope: Scope
    defaults: list[Value]
    keyword_defaults: dict[str, Value]
    kind: str = "function"
    cls: PyClass | None = None
    attributes: dict[str, Value] = field(default_factory=dict)


@dataclass(eq=False, repr=False)
class PyClass:
    """A class of the package. ``types`` are those of its fields where it was made by a call."""

    name: str
    bases: list[Value]
    names: dict[str, Value]
    annotations: dict[str, ast.expr]
    node: ast.ClassDef
    scope: Scope
    is_dataclass: bool = False
    members: dict[str, EnumMember] | None = None
    types: dict[str, Value] | None = None

    def mro(self) -> list[PyClass]:
        """The class and those of the package below it, each once, in the order of a simple MRO."""
        found: list[PyClass] = [self]
        for base in self.bases:
            if isinstance(base, PyClass):
                found = [c for c in found if c not in base.mro()] + base.mro()
        return found

    def base_names(self) -> set[str]:
        """The names of all bases, those from outside of the package included."""
        found = set()
        for cls in self.mro():
            found.add(cls.name)
            for base in cls.bases:
                base = base.origin if isinstance(base, Form) else base  # noqa: PLW2901
                name = getattr(base, "name", None) or getattr(base, "__name__", None)
                found.add(str(name or base))
        return found

    def find(self, name: str) -> tuple[PyClass, Value] | None:
        """Where an attribute is defined, and what it is."""
        return next(((c, c.names[name]) for c in self.mro() if name in c.names), None)


@dataclass(eq=False, repr=False)
class EnumMember:
    """One member of an enumeration."""

    cls: PyClass
    name: str
    value: Value


@dataclass(eq=False, repr=False)
class Instance:
    """An object of a class of the package."""

    cls: PyClass
    names: dict[str, Value] = field(default_factory=dict)


@dataclass(eq=False, repr=False)
class Bound:
    """A method of an object or a class."""

    owner: Value
    function: Value


@dataclass(eq=False, repr=False)
class Super:
    """What ``super()`` gives: attributes from ``after`` on in the MRO of ``owner``'s class."""

    owner: Value
    cls: PyClass
    after: PyClass


@dataclass(frozen=True)
class ModuleValue:
    """A module, of the package or from outside, by its dotted name."""

    name: str


@dataclass(frozen=True)
class Lazy:
    """A name that an import statement binds, not yet looked up."""

    module: str
    name: str


def order(value: Value) -> str:
    """By what the items of a set are ordered, so that the same source always gives the same."""
    if isinstance(value, Form):
        return f"Form {order(value.origin)} {' '.join(map(order, value.args))}"
    name = getattr(value, "name", None) or getattr(value, "__name__", None)
    text = repr(value) if isinstance(value, PLAIN) else ""
    return f"{type(value).__name__} {name or text}"


def is_known(value: Value) -> bool:
    """Whether nothing in a value, containers included, is `Unknown`."""
    if isinstance(value, dict):
        return all(is_known(k) and is_known(v) for k, v in value.items())
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(map(is_known, value))
    return not isinstance(value, Unknown)


def first_unknown(*values: Value) -> Unknown | None:
    """The first of the values that is not known."""
    return next((v for v in values if isinstance(v, Unknown)), None)
