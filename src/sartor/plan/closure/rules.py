"""The rules of `sartor inspect` for environments, as decisions about one that is not there yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.plan.closure.cuda import majors
from sartor.plan.closure.members import weakest
from sartor.plan.decision import Accepted, Decision, Rejected, Unchecked
from sartor.verdict.case import SHOWN
from sartor.verdict.environment_findings import torch_abi
from sartor.verdict.findings import RULES
from sartor.verdict.model import SEVERITIES, Finding
from sartor.verdict.unit import driver_without_gpu

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from sartor.plan.closure.members import Members

WANTED = {
    "driver-range": "a driver that drives the GPU",
    "other-machine": "libraries for the GPU's processor",
    "mixed-cuda-majors": "libraries of one CUDA major",
    "abi3-module": "modules of this Python",
    "cuda-major-pins": "requirements of the CUDA major that the libraries need",
    "dependency-missing": "what packages require",
}
"""What a rule wants whose error is a decision; of others the finding is enough.

Of PyTorch, glibc, the driver's CUDA and libraries that are needed there are decisions elsewhere.
"""
OF_ONE_MODULE = "abi3-module"
OF_SOME_GPUS = "driver-range"
NOT_PROVIDED = "library-not-provided"
DECLARED = "dependency-missing"
"""The rule that holds metadata against metadata."""


def found(members: Members) -> tuple[list[Finding], list[str]]:
    """Every finding, the gravest first, and what the rules could not check.

    PyTorch's symbols are left out: `sartor.plan.closure.torch` says what is known of them.
    """
    findings: list[Finding] = []
    not_checked: list[str] = []
    for rule in RULES:
        if rule is torch_abi:
            continue
        for outcome in rule(members.case):
            if isinstance(outcome, Finding) and _may_be_brought(outcome, members):
                why = f"wheels that were not read ({len(members.unread)}) may bring it"
                not_checked.append(f"{outcome.text} Not checked: {why}.")
            elif isinstance(outcome, Finding):
                findings.append(outcome)
            else:
                not_checked.append(f"{outcome.path}: {outcome.why}")
    return sorted(findings, key=lambda f: SEVERITIES.index(f.severity)), not_checked


def _may_be_brought(finding: Finding, members: Members) -> bool:
    """Whether what no package brings may be in a wheel that nobody read."""
    return finding.code == NOT_PROVIDED and finding.severity == "warning" and bool(members.unread)


def rule_decisions(
    members: Members, findings: Sequence[Finding], essential: Collection[str]
) -> Iterator[Decision]:
    """Errors about ``essential`` packages, or all of them, rule out; of others that is not known.

    Nor is it of a single module that cannot be imported, and of what a warning says.
    """
    about = {package.path: package.name for package in members.case.packages}
    about |= {path: package.name for path, package in members.case.owners.items()}
    for finding in findings:
        wanted = WANTED.get(finding.code)
        if finding.severity == "note" or wanted is None:
            continue
        if finding.code == OF_SOME_GPUS and not all(map(driver_without_gpu, members.case.gpus)):
            continue
        package = about.get(finding.path or "")
        if finding.severity == "warning":
            yield Unchecked(finding.code, wanted, finding.text)
        elif finding.code == OF_ONE_MODULE or (package is not None and package not in essential):
            why = f"{finding.text} Whether the engine does without it is not known."
            yield Unchecked(finding.code, wanted, why)
        else:
            yield Rejected(finding.code, wanted, finding.text, _evidence(finding))
    yield from _requirements(members, findings)
    yield from _machine(members)


def _evidence(finding: Finding) -> str:
    read = "metadata" if finding.code == DECLARED else "machine code"
    return f"read from the {read}, the rule `{finding.code}`"


def _requirements(members: Members, findings: Sequence[Finding]) -> Iterator[Decision]:
    """What packages require is there, as far as their metadata is known."""
    known = [member for member in members.every if member.grade != "declared"]
    wrong = [finding for finding in findings if finding.code == "dependency-missing"]
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
    by_major = majors(members.every, versions)
    if not by_major or any(f.code == "mixed-cuda-majors" for f in findings):
        return
    parts = [f"CUDA {major} ({_few(by_major[major])})" for major in sorted(by_major)]
    if len(by_major) > 1:
        yield Unchecked(rule, wanted, f"{' and '.join(parts)}: whether they meet is not known")
    else:
        among = members.named([name for names in by_major.values() for name in names])
        yield Accepted(rule, wanted, parts[0], weakest(among))


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown
