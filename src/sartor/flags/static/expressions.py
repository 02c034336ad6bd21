"""Expressions of Python, evaluated: a method for each node of the syntax tree."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from sartor.flags.static.operators import (
    COMPARISONS,
    OPERATORS,
    UNARY,
    as_python,
    check_size,
    hashable,
    inner_scope,
    is_type,
    of_enum,
    or_unknown,
    same_type,
)
from sartor.flags.static.values import (
    Form,
    Function,
    Scope,
    Special,
    Unknown,
    first_unknown,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sartor.flags.static.values import Value


class Expressions(ABC):
    """The part of the interpreter that evaluates expressions; the rest is given below it."""

    # Given by the other parts.
    @abstractmethod
    def lookup(self, name: str, scope: Scope) -> Value:
        """The value of a name."""

    @abstractmethod
    def attribute(self, value: Value, name: str) -> Value:
        """An attribute of a value."""

    @abstractmethod
    def call(self, function: Value, args: list[Value], kwargs: dict[str, Value]) -> Value:
        """The value of a call."""

    @abstractmethod
    def bind(self, target: ast.expr, value: Value, scope: Scope) -> None:
        """Bind a target of an assignment."""

    @abstractmethod
    def step(self) -> None:
        """Count; raises `TooMuch`."""

    @abstractmethod
    def items(self, value: Value) -> list[Value] | Unknown:
        """What iterating over a value gives."""

    @abstractmethod
    def subscript(self, value: Value, key: Value) -> Value:
        """An item of a container, or a type with arguments."""

    @abstractmethod
    def truth(self, value: Value) -> bool | Unknown:
        """Whether a value counts as true."""

    @abstractmethod
    def text(self, value: Value) -> Value:
        """What ``str`` gives."""

    def evaluate(self, node: ast.expr, scope: Scope) -> Value:
        """The value of an expression; `Unknown` where the source does not tell it."""
        self.step()
        method = getattr(self, f"_{type(node).__name__}", None)
        if method is None:
            return Unknown(f"`{type(node).__name__}` is not evaluated")
        found: Value = method(node, scope)
        return found

    def _Constant(self, node: ast.Constant, _: Scope) -> Value:
        return node.value

    def _Name(self, node: ast.Name, scope: Scope) -> Value:
        return self.lookup(node.id, scope)

    def _Attribute(self, node: ast.Attribute, scope: Scope) -> Value:
        return self.attribute(self.evaluate(node.value, scope), node.attr)

    def _Subscript(self, node: ast.Subscript, scope: Scope) -> Value:
        return self.subscript(self.evaluate(node.value, scope), self.evaluate(node.slice, scope))

    def _Slice(self, node: ast.Slice, scope: Scope) -> Value:
        parts = [
            None if part is None else self.evaluate(part, scope)
            for part in (node.lower, node.upper, node.step)
        ]
        return first_unknown(*parts) or slice(*parts)

    def _Tuple(self, node: ast.Tuple, scope: Scope) -> Value:
        return or_unknown(self._elements(node.elts, scope), tuple)

    def _List(self, node: ast.List, scope: Scope) -> Value:
        return or_unknown(self._elements(node.elts, scope), list)

    def _Set(self, node: ast.Set, scope: Scope) -> Value:
        found = self._elements(node.elts, scope)
        if isinstance(found, Unknown):
            return found
        return first_unknown(*found) or hashable(found)

    def _elements(self, nodes: Iterable[ast.expr], scope: Scope) -> list[Value] | Unknown:
        found: list[Value] = []
        for node in nodes:
            if not isinstance(node, ast.Starred):
                found.append(self.evaluate(node, scope))
                continue
            inner = self.items(self.evaluate(node.value, scope))
            if isinstance(inner, Unknown):
                return inner
            found += inner
        return found

    def _Dict(self, node: ast.Dict, scope: Scope) -> Value:
        found: dict[Value, Value] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                inner = self.evaluate(value, scope)
                if not isinstance(inner, dict):
                    return inner if isinstance(inner, Unknown) else Unknown("`**` of no dict")
                found |= inner
                continue
            name = self.evaluate(key, scope)
            if isinstance(name, Unknown):
                return name
            found[name] = self.evaluate(value, scope)
        return found

    def _JoinedStr(self, node: ast.JoinedStr, scope: Scope) -> Value:
        found = ""
        for part in node.values:
            value = self.evaluate(part, scope)
            if isinstance(value, Unknown):
                return value
            found += str(value)
        return found

    def _FormattedValue(self, node: ast.FormattedValue, scope: Scope) -> Value:
        value = self.evaluate(node.value, scope)
        if isinstance(value, Unknown):
            return value
        if node.conversion == ord("r"):
            return repr(value)
        spec = self.evaluate(node.format_spec, scope) if node.format_spec else ""
        if spec and isinstance(spec, str) and isinstance(value, (int, float, str)):
            wide = Unknown("a wide form")
            return as_python(lambda: format(value, spec)) if len(spec) < 6 else wide
        return self.text(value)

    def _IfExp(self, node: ast.IfExp, scope: Scope) -> Value:
        truth = self.truth(self.evaluate(node.test, scope))
        if isinstance(truth, Unknown):
            return truth
        return self.evaluate(node.body if truth else node.orelse, scope)

    def _BoolOp(self, node: ast.BoolOp, scope: Scope) -> Value:
        wanted = isinstance(node.op, ast.Or)
        value: Value = None
        unknown: Unknown | None = None
        for part in node.values:
            value = self.evaluate(part, scope)
            truth = self.truth(value)
            if isinstance(truth, Unknown):
                unknown = unknown or truth
            elif truth is wanted and unknown is None:
                return value
            elif truth is wanted and isinstance(value, bool):
                return value  # whatever the unknown one is
        return unknown or value

    def _NamedExpr(self, node: ast.NamedExpr, scope: Scope) -> Value:
        value = self.evaluate(node.value, scope)
        self.bind(node.target, value, scope)
        return value

    def _UnaryOp(self, node: ast.UnaryOp, scope: Scope) -> Value:
        value = self.evaluate(node.operand, scope)
        if isinstance(node.op, ast.Not):
            truth = self.truth(value)
            return truth if isinstance(truth, Unknown) else not truth
        if isinstance(value, (int, float)):
            act = UNARY[type(node.op)]
            return as_python(lambda: act(value))
        return value if isinstance(value, Unknown) else Unknown("an operator of an object")

    def _BinOp(self, node: ast.BinOp, scope: Scope) -> Value:
        return self.operate(
            node.op, self.evaluate(node.left, scope), self.evaluate(node.right, scope)
        )

    def operate(self, op: ast.operator, left: Value, right: Value) -> Value:
        """A binary operator; of types ``|`` is their union."""
        if isinstance(op, ast.BitOr) and is_type(left) and is_type(right):
            return Form(Special("Union"), (left, right))
        unknown = first_unknown(left, right)
        if unknown:
            return unknown
        plain = (int, float, str, bytes, list, tuple, set, frozenset, dict)
        if not (isinstance(left, plain) and (isinstance(right, plain) or isinstance(op, ast.Mod))):
            return Unknown("an operator of an object")
        check_size(op, left, right)
        act = OPERATORS.get(type(op))
        return Unknown("an operator") if act is None else as_python(lambda: act(left, right))

    def _Compare(self, node: ast.Compare, scope: Scope) -> Value:
        left = self.evaluate(node.left, scope)
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            right = self.evaluate(right_node, scope)
            found = self._compare(op, left, right)
            if found is not True:
                return found
            left = right
        return True

    def _compare(self, op: ast.cmpop, left: Value, right: Value) -> bool | Unknown:
        unknown = first_unknown(left, right)
        if unknown:
            return unknown
        if isinstance(op, (ast.Is, ast.IsNot)):
            same = left is right or (is_type(left) and same_type(left, right))
            return same is isinstance(op, ast.Is)
        if isinstance(op, (ast.In, ast.NotIn)):
            found = self._contains(right, left)
            return found if isinstance(found, Unknown) else found is isinstance(op, ast.In)
        left, right = of_enum(left), of_enum(right)
        if isinstance(op, (ast.Eq, ast.NotEq)):
            return COMPARISONS[type(op)](left, right)
        answer = as_python(lambda: COMPARISONS[type(op)](left, right))
        return answer if isinstance(answer, (bool, Unknown)) else Unknown("a comparison")

    def _contains(self, container: Value, value: Value) -> bool | Unknown:
        if isinstance(container, str):
            return isinstance(value, str) and value in container
        if isinstance(container, (dict, set, frozenset)):
            answer = as_python(lambda: value in container)
            return bool(answer)
        items = self.items(container)
        if isinstance(items, Unknown):
            return items
        if any(of_enum(value) == of_enum(item) for item in items):
            return True
        return first_unknown(*items) or False

    def _Lambda(self, node: ast.Lambda, scope: Scope) -> Value:
        return self.function("<lambda>", node, scope)

    def function(
        self, name: str, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, scope: Scope
    ) -> Function:
        """A function with its defaults, evaluated where it is defined."""
        keyword = {
            argument.arg: self.evaluate(value, scope)
            for argument, value in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            if value is not None
        }
        defaults = [self.evaluate(value, scope) for value in node.args.defaults]
        inside = scope.parent if scope.is_class and scope.parent is not None else scope
        return Function(name, node, inside, defaults, keyword, cls=scope.cls)

    def _Call(self, node: ast.Call, scope: Scope) -> Value:
        function = self.called(node, scope)
        args = self._elements(node.args, scope)
        if isinstance(args, Unknown):
            return args
        kwargs: dict[str, Value] = {}
        for keyword in node.keywords:
            value = self.evaluate(keyword.value, scope)
            if keyword.arg is not None:
                kwargs[keyword.arg] = value
            elif isinstance(value, dict):
                kwargs |= {str(name): inner for name, inner in value.items()}
            else:
                args = [Unknown("`**` of a value that is not known")]
        return self.call(function, args, kwargs)

    def called(self, node: ast.Call, scope: Scope) -> Value:
        """What a call calls."""
        return self.evaluate(node.func, scope)

    def _Await(self, node: ast.Await, scope: Scope) -> Value:  # noqa: ARG002
        return Unknown("what is awaited is not evaluated")

    def _Starred(self, node: ast.Starred, scope: Scope) -> Value:
        inner = self.items(self.evaluate(node.value, scope))
        return inner if isinstance(inner, Unknown) else Form(Special("Unpack"), tuple(inner))

    def _ListComp(self, node: ast.ListComp, scope: Scope) -> Value:
        found: list[Value] = []
        unknown = self._comprehend(
            node.generators, inner_scope(scope), lambda s: found.append(self.evaluate(node.elt, s))
        )
        return unknown or found

    def _GeneratorExp(self, node: ast.GeneratorExp, scope: Scope) -> Value:
        found: list[Value] = []
        unknown = self._comprehend(
            node.generators, inner_scope(scope), lambda s: found.append(self.evaluate(node.elt, s))
        )
        return unknown or found

    def _SetComp(self, node: ast.SetComp, scope: Scope) -> Value:
        found: list[Value] = []
        unknown = self._comprehend(
            node.generators, inner_scope(scope), lambda s: found.append(self.evaluate(node.elt, s))
        )
        return unknown or first_unknown(*found) or hashable(found)

    def _DictComp(self, node: ast.DictComp, scope: Scope) -> Value:
        found: dict[Value, Value] = {}
        unknown: list[Unknown] = []

        def add(inner: Scope) -> None:
            key = self.evaluate(node.key, inner)
            if isinstance(key, Unknown):
                unknown.append(key)
            else:
                found[key] = self.evaluate(node.value, inner)

        stopped = self._comprehend(node.generators, inner_scope(scope), add)
        return stopped or (unknown[0] if unknown else found)

    def _comprehend(
        self, generators: list[ast.comprehension], scope: Scope, act: Callable[[Scope], None]
    ) -> Unknown | None:
        """Run ``act`` for each combination; the first thing that is not known ends it."""
        if not generators:
            act(scope)
            return None
        first, *rest = generators
        items = self.items(self.evaluate(first.iter, scope))
        if isinstance(items, Unknown):
            return items
        for item in items:
            self.bind(first.target, item, scope)
            wanted: bool | Unknown = True
            for condition in first.ifs:
                wanted = self.truth(self.evaluate(condition, scope))
                if wanted is not True:
                    break
            if isinstance(wanted, Unknown):
                return wanted
            if wanted and (unknown := self._comprehend(rest, scope, act)):
                return unknown
        return None
