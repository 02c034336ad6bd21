"""`Interpreter`: names, attributes and calls over a package's modules, within bounds."""

from __future__ import annotations

import ast
import builtins
from typing import TYPE_CHECKING

from sartor.flags.static.calls import (
    SPECIAL,
    bind_arguments,
    bound,
    called_natively,
    field_attribute,
    type_with,
)
from sartor.flags.static.classes import (
    class_attribute,
    dataclass_fields,
    enum_by_value,
    instance_attribute,
    make_instance,
)
from sartor.flags.static.methods import METHODS, container_method
from sartor.flags.static.module import Modules, circular, no_name
from sartor.flags.static.statements import Statements
from sartor.flags.static.values import (
    Bound,
    EnumMember,
    FieldSpec,
    Form,
    Function,
    Instance,
    Lazy,
    ModuleValue,
    Native,
    PyClass,
    Raised,
    Scope,
    Special,
    Super,
    TooMuch,
    Unknown,
    first_unknown,
    order,
)
from sartor.flags.static.ways import Break, Continue, Return

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sartor.flags.static.module import Module
    from sartor.flags.static.values import Value

MOST_STEPS = 1_500_000
MOST_DEPTH = 60
MOST_RANGE = 1 << 16


class Interpreter(Statements):
    """Evaluates names of a package.

    ``known`` are the values of names from outside (``argparse.SUPPRESS``) and of those of the
    package that stand for a machine's state; ``builtin`` those without a module.
    ``watched`` is a class; that an object of it is handed to what is not told is written down.
    ``conditions`` are the ones that are not told by the source under which it runs now.
    """

    def __init__(
        self,
        read: Callable[[str], bytes | None],
        known: Mapping[str, Value],
        builtin: Mapping[str, Value],
    ) -> None:
        self.modules = Modules(read)
        self.conditions: list[str] = []
        self.faults: list[str] = []
        self.failed_ways: list[str] = []
        self.watched: PyClass | None = None
        self.known = dict(known)
        self._builtin = builtin
        self._steps = self._depth = 0
        self._within: list[ast.AST] = []

    def step(self) -> None:
        """Count; raises `TooMuch`."""
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise TooMuch("too many steps")

    def name(self, dotted: str) -> Value:
        """The value of ``package.module.name``."""
        module, _, name = dotted.rpartition(".")
        return self.imported(module, name)

    def imported(self, module_name: str, name: str) -> Value:
        """What ``from module import name`` gives."""
        dotted = f"{module_name}.{name}"
        if dotted in self.known:
            return self.known[dotted]
        module = self.modules.get(module_name)
        if module is None:
            if self._is_of_package(module_name):
                return Unknown(f"the package has no module `{module_name}` that can be read")
            return self._foreign(dotted)
        found = self._in_module(module, name)
        if found is not None:
            return found[0]
        if self.modules.get(dotted) is not None:
            return ModuleValue(dotted)
        if module.defines("__getattr__"):
            return self.call(self._in_module(module, "__getattr__")[0], [name], {})  # type: ignore[index]
        raise no_name(name, module_name)

    def _is_of_package(self, name: str) -> bool:
        return self.modules.get(name.partition(".")[0]) is not None

    def _foreign(self, dotted: str) -> Value:
        """A name from outside: a known one, a module above a known one, or not told."""
        if any(name.startswith(f"{dotted}.") for name in self.known):
            return ModuleValue(dotted)
        return Unknown(f"`{dotted}` is not of this package")

    def _in_module(self, module: Module, name: str) -> tuple[Value] | None:
        """A name of a module's own, evaluated if it was not; in a tuple, for it may be None."""
        if f"{module.name}.{name}" in self.known:
            return (self.known[f"{module.name}.{name}"],)
        names = module.scope.names
        if left := module.left(name):
            self._run_for(module, name, left)
        if name not in names:
            for source in module.stars:
                try:
                    return (self.imported(source, name),)
                except Raised:
                    continue
            running = any(s in module.running for s in module.statements(name))
            return (circular(name),) if running else None
        value = names[name]
        if isinstance(value, Lazy):
            dotted = f"{value.module}.{value.name}"
            names[name] = circular(name)
            names[name] = value = self._resolved(value, dotted)
        return (value,)

    def _resolved(self, value: Lazy, dotted: str) -> Value:
        try:
            return self.imported(value.module, value.name)
        except Raised:
            return Unknown(f"there is no `{dotted}`")

    def _run_for(self, module: Module, name: str, left: list[ast.stmt]) -> None:
        """Run the statements of a module that bind a name, each once."""
        conditions, self.conditions = self.conditions, []
        for statement in left:
            if id(statement) in module.pending:
                continue
            end = self._run_once(module, statement)
            if end is not None:
                module.scope.names.setdefault(name, Unknown(f"its definition fails: {end}"[:200]))
        self.conditions = conditions

    def _run_once(self, module: Module, statement: ast.stmt) -> Exception | None:
        """Run one statement of a module's own; how it ended, if not well."""
        module.pending.add(id(statement))
        module.running.append(statement)
        try:
            self.run([statement], module.scope)
        except (Raised, Return, Break, Continue) as end:
            self.faults.append(f"{module.path}:{statement.lineno}: {end}"[:300])
            return end
        finally:
            module.running.pop()
        return None

    def run_module(self, name: str) -> None:
        """Run every statement of a module, for what it does to others."""
        module = self.modules.get(name)
        for statement in module.tree.body if module else ():
            if module is not None and id(statement) not in module.pending:
                self._run_once(module, statement)

    def lookup(self, name: str, scope: Scope) -> Value:
        """The value of a name, from the innermost scope outwards."""
        at: Scope | None = scope
        while at is not None:
            if at is scope.module.scope:
                break
            if name in at.names:
                value = at.names[name]
                if isinstance(value, Lazy):
                    value = at.names[name] = self._resolved(value, f"{value.module}.{value.name}")
                return value
            at = at.parent
        found = self._in_module(scope.module, name)
        if found is not None:
            return found[0]
        if name == "__name__":
            return scope.module.name
        if name in self._builtin:
            return self._builtin[name]
        if name == "super":
            return Native("super", lambda *_: self._super(scope))
        known = getattr(builtins, name, None)
        if isinstance(known, type) and issubclass(known, BaseException):
            return known
        return Unknown(f"the name `{name}` is not known")

    def _super(self, scope: Scope) -> Value:
        at: Scope | None = scope
        while at is not None:
            if "<self>" in at.names and at.cls is not None:
                owner = at.names["<self>"]
                cls = owner.cls if isinstance(owner, Instance) else owner
                return Super(owner, cls, at.cls) if isinstance(cls, PyClass) else Unknown("super")
            at = at.parent
        return Unknown("`super` outside of a method")

    def attribute(self, value: Value, name: str) -> Value:
        """An attribute of a value; raises `Raised` where it is known that there is none."""
        match value:
            case Unknown():
                return value
            case ModuleValue(name=module):
                return self.imported(module, name)
            case PyClass():
                return class_attribute(self, value, name)
            case Instance():
                return instance_attribute(self, value, name)
            case Super(owner=owner, cls=cls, after=after):
                classes = cls.mro()
                for below in classes[classes.index(after) + 1 :]:
                    if name in below.names:
                        return bound(below.names[name], owner)
                return Native(name, lambda *_, **__: None)
            case EnumMember(cls=cls, name=own, value=plain):
                return {"value": plain, "name": own}.get(name) or class_attribute(self, cls, name)
            case FieldSpec():
                return field_attribute(value, name)
            case Native(name=own):
                return own if name == "__name__" else Unknown(f"`{own}.{name}`")
            case Function():
                if name in {"__name__", "__qualname__"}:
                    return value.name
                return value.attributes.get(name, Unknown(f"`{value.name}.{name}`"))
            case Special(name=own):
                return SPECIAL.get(name) or Special(f"{own}.{name}")
            case Form(origin=origin) if name == "__args__":
                return value.args
            case Form(origin=origin):
                return self.attribute(origin, name)
            case _:
                return container_method(self, value, name)

    def set_attribute(self, owner: Value, name: str, value: Value) -> None:
        """Set an attribute; of what is not known nothing is."""
        if isinstance(owner, (Instance, PyClass)):
            owner.names[name] = value
        elif isinstance(owner, Function):
            owner.attributes[name] = value

    def call(self, function: Value, args: list[Value], kwargs: dict[str, Value]) -> Value:
        """The value of a call."""
        self.step()
        match function:
            case Unknown():
                if any(isinstance(a, Instance) and a.cls is self.watched for a in args):
                    self.failed_ways.append(
                        f"options may be added where it cannot be seen: {function.why}"
                    )
                return function
            case Native(function=act):
                return called_natively(act, args, kwargs)
            case Bound(owner=owner, function=inner):
                return self.call(inner, [owner, *args], kwargs)
            case Function():
                return self._call_function(function, args, kwargs)
            case PyClass(members=members) if members is not None:
                return enum_by_value(function, args)
            case PyClass():
                return make_instance(self, function, args, kwargs)
            case Instance():
                found = function.cls.find("__call__")
                if found is None:
                    return Unknown(f"a `{function.cls.name}` is called")
                return self.call(found[1], [function, *args], kwargs)
            case type():
                return METHODS.construct(self, function, args, kwargs)
            case Special(name=name) | Form(origin=Special(name=name)):
                return Unknown(f"`{name}` is called")
            case Form(origin=origin):
                return self.call(origin, args, kwargs)
            case _:
                return Unknown(f"a {type(function).__name__} is called")

    def _call_function(
        self, function: Function, args: list[Value], kwargs: dict[str, Value]
    ) -> Value:
        unknown = first_unknown(*args)
        if unknown and function.node in self._within:
            return unknown  # it would call itself for ever: no condition ends it
        if self._depth >= MOST_DEPTH:
            raise TooMuch("calls within calls")
        scope = Scope(function.scope.module, function.scope, cls=function.cls)
        bind_arguments(function, args, kwargs, scope)
        if args and function.cls is not None:
            scope.names["<self>"] = args[0]
        if isinstance(function.node, ast.Lambda):
            return self.evaluate(function.node.body, scope)
        if isinstance(function.node, ast.AsyncFunctionDef):
            return Unknown("what is awaited is not evaluated")
        self._depth += 1
        self._within.append(function.node)
        try:
            self.run(function.node.body, scope)
            value: Value = scope.names.get("<yielded>")
        except Return as end:
            value = scope.names.get("<yielded>", end.value)
        finally:
            self._depth -= 1
            self._within.pop()
        before = scope.names.get("<returned>")
        if isinstance(before, list) and any(other is not value for other in before):
            return first_unknown(*before, value) or Unknown(
                f"what `{function.name}` returns depends on what the source does not tell"
            )
        return value

    def subscript(self, value: Value, key: Value) -> Value:
        """An item of a container, or a type with arguments."""
        if isinstance(value, Unknown):
            return value
        if isinstance(value, EnumMember):
            value = value.value
        if isinstance(value, PyClass) and value.members is not None:
            return value.members.get(str(key), Unknown(f"no member {key}"))
        if isinstance(value, (type, Special, PyClass, Form)):
            return type_with(value, key)
        if isinstance(key, Unknown):
            return key
        if isinstance(value, (list, tuple, str, dict, bytes)):
            try:
                return value[key]  # type: ignore[index, call-overload]
            except (LookupError, TypeError) as error:
                raise Raised(type(error).__name__, key, str(error)) from error
        return Unknown("an item of an object")

    def items(self, value: Value) -> list[Value] | Unknown:
        """What iterating over a value gives."""
        match value:
            case Unknown():
                return value
            case PyClass(members=members) if members is not None:
                return list(members.values())
            case range() if len(value) > MOST_RANGE:
                raise TooMuch("a long range")
            case list() | tuple() | dict() | str() | range():
                return list(value)
            case set() | frozenset():
                return sorted(value, key=order)
            case EnumMember(value=inner):
                return self.items(inner)
            case _:
                return Unknown(f"what a {type(value).__name__} gives, one after the other")

    def truth(self, value: Value) -> bool | Unknown:
        """Whether a value counts as true."""
        if isinstance(value, Unknown):
            return value
        if isinstance(value, EnumMember):
            return self.truth(value.value)
        if isinstance(value, Instance):
            found = value.cls.find("__bool__") or value.cls.find("__len__")
            return self.truth(self.call(found[1], [value], {})) if found else True
        return bool(value)

    def text(self, value: Value) -> Value:
        """What ``str`` gives."""
        match value:
            case Unknown() | str():
                return value
            case EnumMember(cls=cls, name=name, value=plain):
                return plain if "StrEnum" in cls.base_names() else f"{cls.name}.{name}"
            case Instance():
                found = value.cls.find("__str__")
                return self.call(found[1], [value], {}) if found else Unknown("a text of an object")
            case None | bool() | int() | float() | list() | tuple() | dict() | set():
                return str(value)
            case _:
                return Unknown(f"a text of a {type(value).__name__}")

    def fields(self, cls: PyClass) -> list[FieldSpec]:
        """The fields of a dataclass."""
        return dataclass_fields(self, cls)
