"""What is wrong with an environment by what its packages and libraries say, before it is run.

The rules are those of `sartor inspect`; each belongs to the grade at which what it says comes true.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sartor.verify.model import GRADES, Failed, Grade, NotChecked, Outcome, Passed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sartor.artifact.model import NotRead
    from sartor.host.model import Host
    from sartor.verdict.model import Finding
    from sartor.verify.subject.model import Subject


class Rule(NamedTuple):
    """A rule's code, the grade at which it comes true, and what holds where it finds nothing.

    What does not ``decide`` is said beside the check: there the loader or the driver, who are asked
    at *loads*, have the last word.
    """

    code: str
    grade: Grade
    check: str
    decides: bool = True


RULES = (
    Rule("torch-pin", "resolves", "packages are for the torch that is installed"),
    Rule("cuda-major-pins", "resolves", "packages require one CUDA major"),
    Rule("torch-abi", "loads", "extensions find the symbols that they want of torch"),
    Rule("mixed-cuda-majors", "loads", "libraries are linked to one CUDA major"),
    Rule("abi3-module", "loads", "modules are for this Python", decides=False),
    Rule("driver-cuda", "loads", "the driver's CUDA is that of the packages", decides=False),
    Rule("runtime-compiler", "launches", "compilers that are used at run time are there"),
)
PROVED: tuple[Grade, ...] = ("resolves", "loads")
HINTS = {
    "mixed-cuda-majors": "install builds for one CUDA major",
    "torch-abi": "install the build that was made for the torch that is installed",
}


def static_outcomes(
    subject: Subject, host: Host, grades: Iterable[Grade] = GRADES
) -> Iterator[Outcome]:
    """One outcome for each of `RULES`: an error fails, a warning is said beside it."""
    from sartor.inspection import examine
    from sartor.verdict.targets import targets_of
    from sartor.verify.subject.evidence import evidence_of

    evidence = evidence_of(subject)
    findings, unread = examine(evidence, host, targets_of(host))
    asked = set(grades)
    for rule in RULES:
        outcome = _outcome(rule, [f for f in findings if f.code == rule.code])
        # That nothing speaks against a grade above *loads* proves nothing of it.
        if rule.grade in asked and (rule.grade in PROVED or isinstance(outcome, Failed)):
            yield outcome
    if "loads" in asked:
        yield from _not_read([*evidence.not_read, *unread])


def _outcome(rule: Rule, findings: list[Finding]) -> Outcome:
    texts = [finding.text for finding in findings if finding.severity == "error"]
    if texts and rule.decides:
        return Failed(
            check=rule.check,
            grade=rule.grade,
            detail="\n".join(texts),
            hint=HINTS.get(rule.code),
        )
    said = [f.text for f in findings if f.severity != "note"]
    return Passed(check=rule.check, grade=rule.grade, detail="\n".join(said))


def _not_read(faults: list[NotRead]) -> Iterator[Outcome]:
    """Libraries that the readers could not read: what is in them nobody has judged."""
    for fault in dict.fromkeys(faults):
        if ".so" in fault.path:
            yield NotChecked(
                check=f"{fault.path} is read",
                grade="loads",
                why=fault.why,
            )
