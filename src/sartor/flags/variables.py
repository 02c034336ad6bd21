"""The environment variables that a package knows: those that it lists, and those that it asks for.

vLLM lists them in a dict beside annotations that give types and defaults; SGLang in a class whose
attributes are objects with a default. What a package's other files ask for is found in their text.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from sartor.flags.model import Unread, Variable
from sartor.flags.static.values import Instance, PyClass, Raised, TooMuch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sartor.flags.facts import ReaderFact
    from sartor.flags.static.interpreter import Interpreter
    from sartor.flags.static.module import Module

LISTED = "environment_variables"
CLASS = "Envs"
ASKED = re.compile(
    r"(?:getenv|environ(?:\.get|\.pop|\.setdefault)?|get_\w*env\w*|env_\w+)\s*[(\[]\s*"
    r"[\"']([A-Z][A-Z0-9_]+)[\"']"
)
KINDS = {"EnvBool": "bool", "EnvInt": "int", "EnvFloat": "float", "EnvStr": "str"}
WITH_CHOICES = frozenset({"env_with_choices", "env_list_with_choices"})
MOST_DEFAULT = 120


def variables_of(
    fact: ReaderFact,
    interpreter: Interpreter,
    read: Callable[[str], bytes | None],
    names: Sequence[str],
) -> tuple[list[Variable], list[Unread]]:
    """The variables by name, and what of them was not read.

    ``names`` are the package's files whose text is searched; those alone that are given.
    """
    found: dict[str, Variable] = {}
    notes: list[Unread] = []
    module = interpreter.modules.get(fact.variables)
    if module is None and not names:
        notes.append(Unread("variables", f"the package has no `{fact.variables}`"))
    if module is not None:
        try:
            listed = _listed(interpreter, module) or _of_class(interpreter, module)
            found |= {variable.name: variable for variable in listed}
            if not found:
                notes.append(Unread("variables", f"`{module.path}` lists none that could be read"))
        except (TooMuch, Raised) as fault:
            notes.append(Unread("variables", f"`{module.path}` could not be evaluated: {fault}"))
    for variable in _asked(fact, read, names):
        found.setdefault(variable.name, variable)
    return sorted(found.values(), key=lambda v: v.name), notes


def _listed(interpreter: Interpreter, module: Module) -> list[Variable]:
    """The keys of the dict that lists them, with the annotations' types and defaults."""
    if not module.defines(LISTED):
        return []
    value = interpreter.imported(module.name, LISTED)
    if not isinstance(value, dict):
        return []
    annotations = {
        node.target.id: node
        for node in ast.walk(module.tree)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    choices = dict(_choices(module.tree))
    return [
        _variable(name, annotations.get(name), choices.get(name))
        for name in value
        if isinstance(name, str)
    ]


def _variable(
    name: str, annotation: ast.AnnAssign | None, choices: tuple[str, ...] | None
) -> Variable:
    if annotation is None:
        return Variable(name=name, choices=choices)
    default = None if annotation.value is None else ast.unparse(annotation.value)[:MOST_DEFAULT]
    return Variable(
        name=name, type=ast.unparse(annotation.annotation), default=default, choices=choices
    )


def _choices(tree: ast.Module) -> Iterable[tuple[str, tuple[str, ...]]]:
    """``env_with_choices("NAME", default, ["a", "b"])``: what the variable may be."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        if node.func.id not in WITH_CHOICES or len(node.args) < 3:
            continue
        name, listed = node.args[0], node.args[2]
        items = listed.elts if isinstance(listed, (ast.List, ast.Tuple)) else []
        texts = tuple(str(i.value) for i in items if isinstance(i, ast.Constant))
        if isinstance(name, ast.Constant) and texts and len(texts) == len(items):
            yield str(name.value), texts


def _of_class(interpreter: Interpreter, module: Module) -> list[Variable]:
    """The attributes of the class that lists them, each an object with its default."""
    if not module.defines(CLASS):
        return []
    cls = interpreter.imported(module.name, CLASS)
    if not isinstance(cls, PyClass):
        return []
    found = []
    for name, value in cls.names.items():
        if not isinstance(value, Instance) or name.startswith("_"):
            continue
        found.append(_of_object(name, value))
        old = value.names.get("deprecated_name")
        if isinstance(old, str):
            word = f"deprecated: use {name}"
            found.append(Variable(name=old, deprecated=word, replaced_by=name))
    return found


def _of_object(name: str, value: Instance) -> Variable:
    default = value.names.get("default")
    kind = next((KINDS[n] for n in KINDS if n in value.cls.base_names()), None)
    known = default is None or isinstance(default, (bool, int, float, str))
    return Variable(name=name, type=kind, default=repr(default)[:MOST_DEFAULT] if known else None)


def _asked(
    fact: ReaderFact, read: Callable[[str], bytes | None], names: Sequence[str]
) -> Iterable[Variable]:
    """The variables of the engine's own that its files ask for by name."""
    for path in names:
        data = read(path) if path.endswith(".py") else None
        for name in dict.fromkeys(ASKED.findall((data or b"").decode("utf-8", "replace"))):
            if name.startswith(tuple(fact.prefixes)):
                yield Variable(name=name, where=path)
