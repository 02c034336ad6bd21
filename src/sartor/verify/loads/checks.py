"""The second grade, *loads*: modules are imported, libraries opened, device code handed over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.engines import vllm
from sartor.errors import PYTHON_HEADERS
from sartor.verify.child import Program, run
from sartor.verify.device.handed import NO_GPU, driven
from sartor.verify.loads.images import check_images
from sartor.verify.loads.libraries import check_libraries
from sartor.verify.subject.contents import contents_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sartor.host.model import Host
    from sartor.verify.model import Outcome
    from sartor.verify.proving import Proving
    from sartor.verify.subject.contents import Contents
    from sartor.verify.subject.model import Subject

TORCH = "torch"


def check_loads(
    subject: Subject, host: Host, proving: Proving, found: Callable[[Outcome], None]
) -> Contents:
    """Every check of this grade; ``found`` is called with each outcome. Returns what was read."""
    contents = contents_of(subject, host)
    check_libraries(subject, contents, proving, found)
    check_images(subject, host, contents, proving, found)
    has_torch = TORCH in contents.case.by_distribution
    modules = [*([TORCH] if has_torch else []), *(m for m in subject.modules if m != TORCH)]
    imports = Program(
        module="imports",
        label="start the environment's interpreter",
        python=subject.python,
        grade="loads",
        settings={
            "modules": modules,
            "headers": PYTHON_HEADERS if subject.headers else None,
            "torch": has_torch,
            "gpu": _sees_gpu(subject, host, has_torch),
        },
        variables=subject.variables,
    )
    run(imports, proving.grades, on_outcome=found)
    return contents


def _sees_gpu(subject: Subject, host: Host, has_torch: bool) -> dict[str, str | None] | None:
    """The program that asks the stack for its GPU, or why it is not asked; None: nothing to ask."""
    program = subject.sees_gpu or (vllm.SEES_GPU if has_torch else None)
    if subject.accelerator != "cuda" or program is None:
        return None
    why = None if driven(host) else NO_GPU
    return {"program": program, "why": why}
