"""The second grade, *loads*: modules are imported, libraries opened, device code handed over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.errors import PYTHON_HEADERS
from sartor.verify.child import Program, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from sartor.verify.model import Outcome
    from sartor.verify.proof import Proving
    from sartor.verify.subject import Subject


def check_loads(subject: Subject, proving: Proving, found: Callable[[Outcome], None]) -> None:
    """Every check of this grade; ``found`` is called with each outcome."""
    imports = Program(
        module="imports",
        label="start the environment's interpreter",
        python=subject.python,
        grade="loads",
        settings={
            "modules": subject.modules,
            "headers": PYTHON_HEADERS if subject.headers else None,
        },
        variables=subject.variables,
    )
    run(imports, proving.grades, on_outcome=found)
