"""What is wrong with a target, or worth knowing: one function for each rule, of a `Case` alone.

A rule's code is its function's name, and the first line of its docstring what the documents say;
one more rule is one more function in `RULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from sartor.verdict import (
    compiler_findings,
    environment_findings,
    gpu_findings,
    index_findings,
    package_findings,
)
from sartor.verdict.case import Case, Outcome
from sartor.verdict.model import SEVERITIES, Finding

if TYPE_CHECKING:
    from sartor.artifact.model import NotRead

Rule = Callable[[Case], Iterable[Outcome]]

RULES: tuple[Rule, ...] = (
    gpu_findings.gpu_not_known,
    gpu_findings.driver_range,
    gpu_findings.driver_cuda,
    gpu_findings.other_machine,
    package_findings.library_not_provided,
    environment_findings.mixed_cuda_majors,
    environment_findings.torch_abi,
    environment_findings.torch_pin,
    package_findings.glibc_tag,
    package_findings.abi3_module,
    package_findings.cuda_major_pins,
    environment_findings.dependency_missing,
    environment_findings.installed_twice,
    compiler_findings.runtime_compiler,
    package_findings.other_device_code,
    package_findings.no_device_code,
    package_findings.package_not_known,
    index_findings.yanked,
)


def findings(case: Case) -> tuple[list[Finding], list[NotRead]]:
    """Every finding, the gravest first and then by `RULES`; and what was not checked."""
    found: list[Finding] = []
    not_read: list[NotRead] = []
    for rule in RULES:
        for outcome in rule(case):
            if isinstance(outcome, Finding):
                found.append(outcome)
            else:
                not_read.append(outcome)
    return sorted(found, key=lambda f: SEVERITIES.index(f.severity)), not_read


def code_of(rule: Rule) -> str:
    """The code of a rule's findings."""
    return rule.__name__.replace("_", "-")


def summary_of(rule: Rule) -> str:
    """What a rule's findings say, in one sentence or two."""
    import inspect

    return " ".join((inspect.getdoc(rule) or "").split())
