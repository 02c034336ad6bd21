"""The rules of `sartor inspect` for environments, as decisions about one that is not there yet."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from sartor.plan.closure_cuda import majors
from sartor.plan.decision import Accepted, Decision, Rejected, Unchecked
from sartor.verdict.case import SHOWN
from sartor.verdict.environment_findings import torch_abi
from sartor.verdict.findings import RULES, code_of
from sartor.verdict.model import SEVERITIES, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sartor.plan.closure_members import Members

WANTED = {
    "driver-range": "a driver that drives the GPU",
    "driver-cuda": "a driver of the libraries' CUDA major, or newer",
    "other-machine": "libraries for the GPU's processor",
    "library-not-provided": "every library that another needs",
    "mixed-cuda-majors": "libraries of one CUDA major",
    "abi3-module": "modules of this Python",
    "cuda-major-pins": "requirements of the CUDA major that the libraries need",
    "dependency-missing": "what packages require",
}
"""What a rule wants whose error rules a resolution out; of others the finding is enough.

Of PyTorch, glibc and the system's libraries `sartor.plan` has decisions of its own.
"""
READ = "read from the machine code, the rule `{}`"


def found(members: Members) -> tuple[list[Finding], list[str]]:
    """Every finding, the gravest first, and what the rules could not check.

    PyTorch's symbols are left out: `sartor.plan.closure_torch` says what is known of them.
    """
    findings: list[Finding] = []
    not_checked: list[str] = []
    for rule in RULES:
        if rule is torch_abi:
            continue
        for outcome in rule(members.case):
            if isinstance(outcome, Finding):
                findings.append(outcome)
            else:
                not_checked.append(f"{outcome.path}: {outcome.why}")
    return sorted(findings, key=lambda f: SEVERITIES.index(f.severity)), not_checked


def rule_decisions(members: Members, findings: Sequence[Finding]) -> Iterator[Decision]:
    """Errors rule out, and where there is none of a rule its subject is accepted as far as read."""
    by_code: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_code[finding.code].append(finding)
    for code, wanted in WANTED.items():
        for finding in by_code[code]:
            if finding.severity == "error" and not _is_systems(members, finding):
                yield Rejected(code, wanted, finding.text, READ.format(code))
    yield from _requirements(members, by_code["dependency-missing"])
    yield from _machine(members)
    assert {code_of(rule) for rule in RULES} >= set(WANTED)


def _is_systems(members: Members, finding: Finding) -> bool:
    """Whether a library is missing that is the system's: there is a decision about those."""
    return finding.code == "library-not-provided" and "does not load" in finding.text


def _requirements(members: Members, wrong: Sequence[Finding]) -> Iterator[Decision]:
    """What packages require is there, as far as their metadata is known."""
    known = [member for member in members.every if member.grade != "declared"]
    if known and not any(finding.severity == "error" for finding in wrong):
        wanted = f"what {len(known)} packages require of PyTorch, CUDA and each other"
        yield Accepted("requirements", wanted, "all there", "read from the metadata")


def _machine(members: Members) -> Iterator[Decision]:
    """The libraries are for the host's processor."""
    case = members.case
    machines = {lib.machine for lib in case.libraries if lib.machine}
    host = case.host.architecture if case.host else None
    if not machines or host is None:
        return
    wanted = f"libraries for {host}"
    found = " and ".join(sorted(machines))
    decide = Accepted if host in machines else Rejected
    yield decide("architecture", wanted, found, "read from the machine code")


def cuda_decisions(
    members: Members, versions: Mapping[str, str | None], findings: Sequence[Finding]
) -> Iterator[Decision]:
    """All packages are for one CUDA major; where libraries of two meet, a finding said so."""
    rule, wanted = "cuda-major", "one CUDA major in all packages"
    by_major = majors(dict(versions))
    if not by_major or any(f.code == "mixed-cuda-majors" for f in findings):
        return
    parts = [f"CUDA {major} ({_few(by_major[major])})" for major in sorted(by_major)]
    if len(by_major) > 1:
        yield Unchecked(rule, wanted, f"{' and '.join(parts)}: whether they meet is not known")
    else:
        evidence = "read from the machine code; declared by names and requirements"
        yield Accepted(rule, wanted, parts[0], evidence)


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown
