"""Statements of Python, run over a scope.

Where the source does not tell a condition, both ways are gone: what they agree on holds, the rest
is `Unknown`, and what is done meanwhile is done under that condition.
"""

from __future__ import annotations

import ast
from abc import abstractmethod
from typing import TYPE_CHECKING

from sartor.flags.static.expressions import Expressions
from sartor.flags.static.values import (
    Instance,
    PyClass,
    Raised,
    Scope,
    Unknown,
)
from sartor.flags.static.ways import (
    Break,
    Continue,
    Return,
    alike,
    ancestors,
    joined,
    make_members,
    owner_of,
    returned_before,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sartor.flags.static.module import Modules
    from sartor.flags.static.values import Value

ENUMS = {"Enum", "StrEnum", "IntEnum", "Flag", "IntFlag"}
DATACLASS_BASES = {"BaseModel", "Struct", "NamedTuple"}
ANY_FAULT = {"Exception", "BaseException"}


class Statements(Expressions):
    """The part of the interpreter that runs statements."""

    modules: Modules
    conditions: list[str]
    failed_ways: list[str]

    @abstractmethod
    def set_attribute(self, owner: Value, name: str, value: Value) -> None:
        """Set an attribute."""

    def run(self, body: Sequence[ast.stmt], scope: Scope) -> None:
        """Run statements; raises `Return`, `Break`, `Continue`, `Raised` and `TooMuch`."""
        for statement in body:
            self.step()
            method = getattr(self, f"_run_{type(statement).__name__}", None)
            if method is not None:
                method(statement, scope)

    def _run_Expr(self, node: ast.Expr, scope: Scope) -> None:
        if isinstance(node.value, ast.Constant):
            return
        if isinstance(node.value, (ast.Yield, ast.YieldFrom)):
            self._yield(node.value, scope)
        else:
            self.evaluate(node.value, scope)

    def _yield(self, node: ast.Yield | ast.YieldFrom, scope: Scope) -> None:
        found = scope.names.setdefault("<yielded>", [])
        value = self.evaluate(node.value, scope) if node.value else None
        if not isinstance(found, list):
            return
        if isinstance(node, ast.Yield):
            found.append(value)
            return
        inner = self.items(value)
        found.append(inner) if isinstance(inner, Unknown) else found.extend(inner)

    def _run_Assign(self, node: ast.Assign, scope: Scope) -> None:
        value = self.evaluate(node.value, scope)
        for target in node.targets:
            self.bind(target, value, scope)

    def _run_AnnAssign(self, node: ast.AnnAssign, scope: Scope) -> None:
        if node.value is not None:
            self.bind(node.target, self.evaluate(node.value, scope), scope)

    def _run_AugAssign(self, node: ast.AugAssign, scope: Scope) -> None:
        loaded = ast.parse(ast.unparse(node.target), mode="eval").body
        before = self.evaluate(loaded, scope)
        value = self.evaluate(node.value, scope)
        if isinstance(before, list) and isinstance(node.op, ast.Add):
            inner = self.items(value)
            if not isinstance(inner, Unknown):
                before.extend(inner)
                return
        self.bind(node.target, self.operate(node.op, before, value), scope)

    def bind(self, target: ast.expr, value: Value, scope: Scope) -> None:
        """Bind a target of an assignment."""
        match target:
            case ast.Name(id=name):
                owner_of(scope, name).names[name] = value
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                self._bind_all(parts, value, scope)
            case ast.Starred(value=inner):
                self.bind(inner, value, scope)
            case ast.Attribute(value=owner, attr=name):
                self.set_attribute(self.evaluate(owner, scope), name, value)
            case ast.Subscript(value=owner, slice=key):
                self._set_item(self.evaluate(owner, scope), self.evaluate(key, scope), value)
            case _:
                pass

    def _bind_all(self, parts: list[ast.expr], value: Value, scope: Scope) -> None:
        items = self.items(value)
        if isinstance(items, Unknown):
            for part in parts:
                self.bind(part, items, scope)
            return
        stars = [i for i, part in enumerate(parts) if isinstance(part, ast.Starred)]
        if stars:
            first, after = stars[0], len(parts) - stars[0] - 1
            end = len(items) - after
            items = [*items[:first], items[first:end], *items[end:]]
        if len(items) != len(parts):
            raise Raised("ValueError", None, "another number of values than of names")
        for part, item in zip(parts, items, strict=True):
            self.bind(part, item, scope)

    def _set_item(self, owner: Value, key: Value, value: Value) -> None:
        if self.conditions:
            value = Unknown(f"it is set where {self.conditions[-1]}, which is not told")
        if isinstance(owner, dict):
            if isinstance(key, Unknown):
                owner["<unknown>"] = key
            else:
                owner[key] = value
        elif isinstance(owner, list) and isinstance(key, int):
            if not -len(owner) <= key < len(owner):
                raise Raised("IndexError")
            owner[key] = value

    def _run_Delete(self, node: ast.Delete, scope: Scope) -> None:
        for target in node.targets:
            if isinstance(target, ast.Subscript):
                owner, key = self.evaluate(target.value, scope), self.evaluate(target.slice, scope)
                if isinstance(owner, dict) and self.conditions:
                    self._set_item(owner, key, None)
                elif isinstance(owner, dict):
                    if key not in owner:
                        raise Raised("KeyError", key, str(key))
                    del owner[key]
            elif isinstance(target, ast.Name):
                scope.names.pop(target.id, None)

    def _run_Import(self, node: ast.Import, scope: Scope) -> None:
        scope.names |= self.modules.bind_import(node, scope.module)

    def _run_ImportFrom(self, node: ast.ImportFrom, scope: Scope) -> None:
        scope.names |= self.modules.bind_import(node, scope.module)

    def _run_Global(self, node: ast.Global, scope: Scope) -> None:
        scope.outer |= set(node.names)

    def _run_Nonlocal(self, node: ast.Nonlocal, scope: Scope) -> None:
        scope.outer |= set(node.names)

    def _run_FunctionDef(self, node: ast.FunctionDef, scope: Scope) -> None:
        function: Value = self.function(node.name, node, scope)
        scope.names[node.name] = self._decorated(node.decorator_list, function, scope)

    _run_AsyncFunctionDef = _run_FunctionDef  # noqa: N815

    def _decorated(self, decorators: list[ast.expr], value: Value, scope: Scope) -> Value:
        for decorator in reversed(decorators):
            found = self.call(self.evaluate(decorator, scope), [value], {})
            if not isinstance(found, Unknown) and found is not None:
                value = found
        return value

    def _run_ClassDef(self, node: ast.ClassDef, scope: Scope) -> None:
        bases = [self.evaluate(base, scope) for base in node.bases]
        cls = PyClass(node.name, bases, {}, {}, node, scope)
        inside = Scope(scope.module, scope, cls.names, is_class=True, cls=cls)
        self.run(node.body, inside)
        for statement in node.body:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                cls.annotations[statement.target.id] = statement.annotation
        if ENUMS & cls.base_names() and node.name not in ENUMS:
            make_members(cls)
        cls.is_dataclass = bool(DATACLASS_BASES & cls.base_names())
        for name, value in list(cls.names.items()):
            if isinstance(value, Instance) and (setter := value.cls.find("__set_name__")):
                self.call(setter[1], [value, cls, name], {})
        scope.names[node.name] = self._decorated(node.decorator_list, cls, scope)

    def _run_Return(self, node: ast.Return, scope: Scope) -> None:
        raise Return(self.evaluate(node.value, scope) if node.value else None)

    def _run_Break(self, _: ast.Break, __: Scope) -> None:
        raise Break

    def _run_Continue(self, _: ast.Continue, __: Scope) -> None:
        raise Continue

    def _run_Raise(self, node: ast.Raise, scope: Scope) -> None:
        value = self.evaluate(node.exc, scope) if node.exc else None
        cls = value.cls if isinstance(value, Instance) else value
        name = getattr(cls, "name", None) or getattr(cls, "__name__", None)
        raise Raised(str(name or "Exception"), value, ast.unparse(node)[:200])

    def _run_Assert(self, node: ast.Assert, scope: Scope) -> None:
        if self.truth(self.evaluate(node.test, scope)) is False:
            raise Raised("AssertionError", None, ast.unparse(node.test)[:200])

    def _run_If(self, node: ast.If, scope: Scope) -> None:
        truth = self.truth(self.evaluate(node.test, scope))
        if not isinstance(truth, Unknown):
            self.run(node.body if truth else node.orelse, scope)
            return
        text = ast.unparse(node.test)[:200]
        self._either(
            (text, lambda: self.run(node.body, scope)),
            (f"not ({text})", lambda: self.run(node.orelse, scope)),
            scope,
            truth,
        )

    def _either(
        self,
        one: tuple[str, Callable[[], None]],
        other: tuple[str, Callable[[], None]],
        scope: Scope,
        why: Unknown,
    ) -> None:
        """Go both ways from the same names, and keep what they agree on."""
        before = dict(scope.names)
        first = self._way(one)
        self._note(first, one[0])
        after = dict(scope.names)
        scope.names.clear()
        scope.names.update(before)
        second = self._way(other)
        self._note(second, other[0])
        if isinstance(first, Raised) and not isinstance(second, Raised):
            after = dict(scope.names)
        elif isinstance(second, Raised):
            scope.names.clear()
            scope.names.update(after)
        returned = [*returned_before(after), *returned_before(scope.names)]
        if returned:
            after["<returned>"] = scope.names["<returned>"] = returned
        for name in after.keys() | scope.names.keys():
            a, b = after.get(name), scope.names.get(name)
            if a is not b and not alike(a, b):
                scope.names[name] = Unknown(f"`{name}` depends on `{one[0]}`: {why.why}")
        ends = [end for end in (first, second) if end is not None]
        if len(ends) == 2:
            raise joined(ends, one[0])
        if len(ends) == 1 and isinstance(ends[0], Return) and ends[0].value is not None:
            scope.names["<returned>"] = [*returned, ends[0].value]

    def _note(self, end: Exception | None, condition: str) -> None:
        """Keep that a way failed that the source may go; what it raises itself is no failure."""
        if isinstance(end, Raised) and not end.text.startswith("raise"):
            self.failed_ways.append(f"where {condition}: {end}"[:300])

    def _way(self, way: tuple[str, Callable[[], None]]) -> Exception | None:
        """Go one way under its condition; what left it, if anything did."""
        self.conditions.append(way[0])
        try:
            way[1]()
        except (Return, Break, Continue, Raised) as end:
            return end
        finally:
            self.conditions.pop()
        return None

    def _run_For(self, node: ast.For, scope: Scope) -> None:
        items = self.items(self.evaluate(node.iter, scope))
        if isinstance(items, Unknown):
            self._unknown_loop(node, ast.unparse(node.iter), items, scope)
            return
        for item in items:
            self.bind(node.target, item, scope)
            if not self._turn(node.body, scope):
                return
        self.run(node.orelse, scope)

    def _turn(self, body: Sequence[ast.stmt], scope: Scope) -> bool:
        """Run the body of a loop once; False where it breaks off."""
        try:
            self.run(body, scope)
        except Continue:
            pass
        except Break:
            return False
        return True

    def _unknown_loop(self, node: ast.For, over: str, why: Unknown, scope: Scope) -> None:
        """One turn with an item that is not known, under the condition that there is one."""

        def turn() -> None:
            self.bind(node.target, why, scope)
            self.run(node.body, scope)

        text = f"for each of {over[:200]}"
        self._either((text, turn), (f"not {text}", lambda: None), scope, why)

    def _run_While(self, node: ast.While, scope: Scope) -> None:
        while (truth := self.truth(self.evaluate(node.test, scope))) is True:
            if not self._turn(node.body, scope):
                return
        if isinstance(truth, Unknown):
            text = ast.unparse(node.test)[:200]
            ways = ((text, lambda: self.run(node.body, scope)), (f"not ({text})", lambda: None))
            self._either(*ways, scope, truth)

    def _run_With(self, node: ast.With, scope: Scope) -> None:
        for item in node.items:
            value = self.evaluate(item.context_expr, scope)
            if item.optional_vars is not None:
                self.bind(item.optional_vars, value, scope)
        self.run(node.body, scope)

    def _run_Try(self, node: ast.Try, scope: Scope) -> None:
        try:
            self.run(node.body, scope)
        except Raised as raised:
            handler = self._handler(node, raised)
            if handler is None:
                self.run(node.finalbody, scope)
                raise
            if handler.name:
                scope.names[handler.name] = raised.value or Unknown("an exception")
            self.run(handler.body, scope)
        else:
            self.run(node.orelse, scope)
        self.run(node.finalbody, scope)

    def _handler(self, node: ast.Try, raised: Raised) -> ast.ExceptHandler | None:
        for handler in node.handlers:
            if handler.type is None:
                return handler
            kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
            names = {ast.unparse(kind).rpartition(".")[2] for kind in kinds}
            if names & (ANY_FAULT | ancestors(raised)):
                return handler
        return None

    def _run_Match(self, node: ast.Match, scope: Scope) -> None:
        why = Unknown("`match` is not evaluated")
        for case in node.cases:
            text = f"case {ast.unparse(case.pattern)[:200]}"
            body = case.body
            self._either(
                (text, lambda body=body: self.run(body, scope)),  # type: ignore[misc]
                (f"not {text}", lambda: None),
                scope,
                why,
            )
