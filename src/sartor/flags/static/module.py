"""The modules of a package as text, and their names, each evaluated once it is asked for."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from sartor.flags.static.values import Lazy, ModuleValue, Raised, Scope, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sartor.flags.static.values import Value

Read = "Callable[[str], bytes | None]"
MOST_SOURCE = 4 << 20
"""Bytes of one file; the largest known has some 300 KB."""


class Module:
    """One file. ``statements`` bind names; those that bind one are run when it is asked for."""

    def __init__(self, name: str, path: str, tree: ast.Module) -> None:
        self.name = name
        self.path = path
        self.is_package = path.endswith("/__init__.py")
        self.tree = tree
        self.scope = Scope(self)
        self.stars: list[str] = []
        self._binding: dict[str, list[ast.stmt]] = {}
        self.pending: set[int] = set()
        self.running: list[ast.stmt] = []
        for statement in tree.body:
            for bound in set(_bound(statement)):
                self._binding.setdefault(bound, []).append(statement)
            if isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
                self.stars.append(self.absolute(statement))

    def statements(self, name: str) -> list[ast.stmt]:
        """The statements that bind ``name`` or change what it stands for, in their order."""
        return self._binding.get(name, [])

    def left(self, name: str) -> list[ast.stmt]:
        """Those of them that were not run, and may be: what only changes a value comes later."""
        statements = self._binding.get(name)
        if not statements:
            return []
        bound = name in self.scope.names
        return [s for s in statements if id(s) not in self.pending and self._is_due(s, bound)]

    def _is_due(self, statement: ast.stmt, bound: bool) -> bool:
        if not self.running or not (bound or _changes(statement)):
            return True
        return statement.lineno < self.running[-1].lineno

    def defines(self, name: str) -> bool:
        """Whether the file binds the name at all."""
        return name in self._binding

    def absolute(self, node: ast.ImportFrom) -> str:
        """The dotted name of the module that an import names."""
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        kept = parts[: len(parts) - node.level + self.is_package]
        return ".".join([*kept, *([node.module] if node.module else [])])


class Modules:
    """The package's modules by dotted name; ``read`` gives a file of the package by its path."""

    def __init__(self, read: Callable[[str], bytes | None]) -> None:
        self._read = read
        self._modules: dict[str, Module | None] = {}
        self.paths: set[str] = set()
        self.faults: dict[str, str] = {}

    def get(self, name: str) -> Module | None:
        """The module; None where the package has no such file, or it is no Python."""
        if name not in self._modules:
            self._modules[name] = self._load(name)
        return self._modules[name]

    def _load(self, name: str) -> Module | None:
        stem = name.replace(".", "/")
        for path in (f"{stem}.py", f"{stem}/__init__.py"):
            data = self._read(path)
            if data is None:
                continue
            self.paths.add(path)
            if len(data) > MOST_SOURCE:
                self.faults[path] = f"it has {len(data)} bytes"
                return None
            try:
                return Module(name, path, ast.parse(data))
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                self.faults[path] = f"it is no Python that is read here: {error}"
                return None
        return None

    def bind_import(self, node: ast.Import | ast.ImportFrom, module: Module) -> dict[str, Value]:
        """What an import statement binds; nothing is looked up yet."""
        if isinstance(node, ast.ImportFrom):
            source = module.absolute(node)
            return {
                alias.asname or alias.name: Lazy(source, alias.name)
                for alias in node.names
                if alias.name != "*"
            }
        return {
            alias.asname or alias.name.partition(".")[0]: ModuleValue(
                alias.name if alias.asname else alias.name.partition(".")[0]
            )
            for alias in node.names
        }


def circular(name: str) -> Unknown:
    """The value of a name that is asked for while it is being evaluated."""
    return Unknown(f"`{name}` is defined in a circle")


def no_name(name: str, where: str) -> Raised:
    """The source asks for a name that is not there."""
    return Raised("AttributeError", None, f"`{where}` has no `{name}`")


def _bound(statement: ast.stmt) -> Iterator[str]:
    """The names that a top-level statement binds or changes in place."""
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            for alias in names:
                yield alias.asname or alias.name.partition(".")[0]
        case ast.Assign(targets=targets) | ast.Delete(targets=targets):
            for target in targets:
                yield from _roots(target)
        case ast.AnnAssign(target=target) | ast.AugAssign(target=target):
            yield from _roots(target)
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=root))):
            yield from _roots(root)
        case ast.If() | ast.Try() | ast.With() | ast.For() | ast.While():
            for child in ast.iter_child_nodes(statement):
                yield from _bound_below(child)


def _changes(statement: ast.stmt) -> bool:
    """Whether a statement binds no name, and changes what one stands for."""
    match statement:
        case ast.Expr():
            return True
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            return True
        case ast.AugAssign(target=ast.Attribute() | ast.Subscript()):
            return True
        case _:
            return False


def _bound_below(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.stmt():
            yield from _bound(node)
        case ast.ExceptHandler():
            for child in node.body:
                yield from _bound(child)
        case ast.withitem(optional_vars=ast.expr() as target):
            yield from _roots(target)
        case ast.Name(id=name, ctx=ast.Store()):
            yield name


def _roots(target: ast.expr) -> Iterator[str]:
    match target:
        case ast.Name(id=name):
            yield name
        case ast.Attribute(value=inner) | ast.Subscript(value=inner) | ast.Starred(value=inner):
            yield from _roots(inner)
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            for part in parts:
                yield from _roots(part)
