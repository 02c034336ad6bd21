"""Two reports side by side: what differs in them, and whether the second is worse."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from sartor.verify.model import (
    GRADES,
    CheckDifference,
    CostPair,
    Difference,
    Digests,
    Failed,
    FeatureDifference,
    Grade,
    Measured,
    MeasuredPair,
    NotApplicable,
    NotChecked,
    Outcome,
    Passed,
    Report,
    ReportComparison,
    ReportSide,
    Said,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

T = TypeVar("T")


def compare(a: Report, b: Report) -> ReportComparison:
    """Hold ``b`` against ``a``."""
    of_a, of_b = ({o.check: o for o in report.outcomes} for report in (a, b))
    checks = list(_checks(of_a, of_b, a, b))
    both = of_a.keys() & of_b.keys()
    differing = {c.check for c in checks}
    limit = min(_rank(a.grade), GRADES.index(b.asked))
    return ReportComparison(
        a=_side(a),
        b=_side(b),
        worse=any(c.worse for c in checks) or _rank(b.grade) < limit,
        same_checks=len(both - differing),
        same_files=sum(a.files[p] == b.files[p] for p in a.files.keys() & b.files.keys()),
        machine=_differences(_machine(a), _machine(b)),
        packages=_differences(a.packages, b.packages),
        files=[_file(row, a, b) for row in _differences(a.files, b.files)],
        checks=checks,
        measured=list(_measured(of_a, of_b)),
        features=list(_features(a, b)),
        costs=list(_costs(a, b)),
    )


def _side(report: Report) -> ReportSide:
    return ReportSide(
        environment=report.environment,
        python=report.python,
        made_at=report.made_at,
        sartor=report.sartor,
        grade=report.grade,
        asked=report.asked,
        machine=report.machine,
    )


def _rank(grade: Grade | None) -> int:
    return -1 if grade is None else GRADES.index(grade)


def _in_order(a: Mapping[str, T], b: Mapping[str, T]) -> list[str]:
    """The keys of both: those of the first in its order, then what the second alone has."""
    return list(dict.fromkeys([*a, *b]))


def _differences(a: Mapping[str, str], b: Mapping[str, str]) -> list[Difference]:
    keys = _in_order(a, b)
    return [
        Difference(what=key, a=a.get(key), b=b.get(key)) for key in keys if a.get(key) != b.get(key)
    ]


def _file(row: Difference, a: Report, b: Report) -> Difference:
    """With what slimming did to it, in one or in both."""
    if row.a is None or row.b is None:
        return row
    told = [(name, r.slimmed.get(row.what)) for name, r in (("A", a), ("B", b))]
    parts = [f"slimmed to {gpus} in {name}" for name, gpus in told if gpus]
    return replace(row, why=", ".join(parts) or None)


def _machine(report: Report) -> dict[str, str]:
    """What the result may depend on beside the packages."""
    machine = report.machine
    gpus = ", ".join(f"{g.name} ({g.compute_capability})" for g in machine.gpus)
    known = {
        "Python": report.python,
        "Sartor": report.sartor,
        "lock": report.lock,
        "CPU": machine.cpu,
        "architecture": machine.architecture,
        "cores": str(machine.cores),
        "GPUs": gpus,
        "driver": machine.driver,
        "CUDA of the driver": machine.cuda,
        "glibc": machine.glibc,
        "kernel": machine.kernel,
    }
    return {name: value for name, value in known.items() if value}


def _checks(
    of_a: Mapping[str, Outcome], of_b: Mapping[str, Outcome], a: Report, b: Report
) -> Iterator[CheckDifference]:
    for name in _in_order(of_a, of_b):
        first, second = of_a.get(name), of_b.get(name)
        said_a, said_b = said(first), said(second)
        if said_a == said_b:
            continue
        telling = second or first
        assert telling is not None  # noqa: S101 - the name is of one of the two
        asked_less = GRADES.index(telling.grade) > _rank(b.asked if second is None else a.asked)
        worse = _is_worse(said_a, said_b) and not (second is None and asked_less)
        yield CheckDifference(
            check=name, grade=telling.grade, a=said_a, b=said_b, worse=worse, why=words(telling)
        )


def _is_worse(a: Said | None, b: Said | None) -> bool:
    """A check that one report lacks was no failure there: another package has other checks."""
    if b == "failed":
        return True
    return b == "not checked" and a == "passed"


def said(outcome: Outcome | None) -> Said | None:
    """The outcome in a word; None: there is none."""
    match outcome:
        case Passed():
            return "passed"
        case Failed():
            return "failed"
        case NotChecked():
            return "not checked"
        case NotApplicable():
            return "not applicable"
        case None:
            return None


def words(outcome: Outcome) -> str:
    """What an outcome says of itself."""
    return outcome.why if isinstance(outcome, NotChecked | NotApplicable) else outcome.detail


def _measured(of_a: Mapping[str, Outcome], of_b: Mapping[str, Outcome]) -> Iterator[MeasuredPair]:
    for name, first in of_a.items():
        second = of_b.get(name)
        own, other = getattr(first, "measured", None), getattr(second, "measured", None)
        if own is None or other is None:
            continue
        yield MeasuredPair(
            check=name,
            unit=other.unit,
            error_a=own.error,
            error_b=other.error,
            bound_a=own.bound,
            bound_b=other.bound,
            outputs=_bits(own, other),
        )


def _bits(a: Measured, b: Measured) -> Digests:
    if not (a.digest and b.digest):
        return "not recorded"
    if a.digest == b.digest:
        return "equal"
    return "not repeated" if False in (a.repeats, b.repeats) else "different"


def _features(a: Report, b: Report) -> Iterator[FeatureDifference]:
    of_a, of_b = ({(f.package, f.feature): f.grade for f in r.features} for r in (a, b))
    for key in dict.fromkeys([*of_a, *of_b]):
        if key in of_a and key in of_b and of_a[key] == of_b[key]:
            continue
        package, feature = key
        yield FeatureDifference(
            package=package,
            feature=feature,
            a=of_a.get(key),
            b=of_b.get(key),
            in_a=key in of_a,
            in_b=key in of_b,
        )


def _costs(a: Report, b: Report) -> Iterator[CostPair]:
    of_a, of_b = ({cost.grade: cost for cost in report.costs} for report in (a, b))
    for grade in GRADES:
        first, second = of_a.get(grade), of_b.get(grade)
        if first or second:
            yield CostPair(
                grade=grade,
                seconds_a=first.seconds if first else None,
                seconds_b=second.seconds if second else None,
                gpu_bytes_a=first.gpu_bytes if first else None,
                gpu_bytes_b=second.gpu_bytes if second else None,
            )
