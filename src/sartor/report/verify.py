"""What `sartor verify` says to people."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sartor.paths import human_bytes
from sartor.report.table import table
from sartor.report.words import clean, few, wrapped
from sartor.verify.model import GRADES, Failed, NotApplicable, NotChecked, Passed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.verify.model import Grade, Outcome, ProvedOn, Report

WIDTH = 98
MOST_LINES = 16
"""Of one failure; ``--json`` has all of it."""
MOST_NAMED = 4


def verify_lines(report: Report, *, detail: bool = False) -> list[str]:
    """The grades, the failures with the way out, what was not checked, features and costs."""
    lines = [f"environment  {clean(report.environment)}, Python {clean(report.python)}"]
    lines.append(f"machine      {machine_words(report.machine)}")
    for gpus, count in Counter(report.slimmed.values()).items():
        files = "1 file" if count == 1 else f"{count} files"
        lines.append(f"slimmed      {files} to {clean(gpus)}")
    lines += ["", *table([_grade_row(report, grade) for grade in GRADES]), ""]
    if detail:
        lines += [*(line for o in report.outcomes for line in _outcome_lines(o)), ""]
    for failure in report.failures:
        lines += [*_failure_lines(failure), ""]
    lines += _grouped("not checked", [o for o in report.outcomes if isinstance(o, NotChecked)])
    lines += _grouped(
        "not applicable here", [o for o in report.outcomes if isinstance(o, NotApplicable)]
    )
    lines += _features(report)
    return [*lines, *_costs(report), *_verdict(report)]


def machine_words(machine: ProvedOn) -> str:
    """The machine in one line."""
    gpus = Counter(gpu.name for gpu in machine.gpus)
    named = [
        f"{count}x {clean(name)}" if count > 1 else clean(name) for name, count in gpus.items()
    ]
    driver = f", driver {clean(machine.driver)}" if machine.driver else ""
    accelerators = ", ".join(named) + driver if named else "no NVIDIA GPU"
    return f"{accelerators}; {clean(machine.cpu)}, {machine.cores} cores"


def _grade_row(report: Report, grade: Grade) -> list[str]:
    """A grade, what became of it, and how many checks it rests on."""
    own = [o for o in report.outcomes if o.grade == grade]
    counts = Counter(type(o) for o in own)
    reached = report.grade is not None and GRADES.index(grade) <= GRADES.index(report.grade)
    if reached:
        state = "proved"
    elif GRADES.index(grade) > GRADES.index(report.asked):
        return [grade, "not asked", ""]
    elif counts[Failed]:
        state = "failed"
    elif counts[NotChecked] or not counts[Passed]:
        state = "not checked"
    else:
        state = "stands on a grade that is not proved"
    said = [
        f"{counts[kind]} {word}"
        for kind, word in (
            (Passed, "passed"),
            (Failed, "failed"),
            (NotChecked, "not checked"),
            (NotApplicable, "not applicable"),
        )
        if counts[kind]
    ]
    return [grade, state, ", ".join(said) or "no check"]


def _failure_lines(failure: Failed) -> Iterator[str]:
    yield from wrapped(f"failed ({failure.grade}): ", failure.check, WIDTH, hang=2)
    text = [line for line in failure.detail.splitlines() if line.strip()]
    for line in text[:MOST_LINES]:
        yield from wrapped("  ", line, WIDTH, hang=4)
    if len(text) > MOST_LINES:
        yield f"  ... {len(text) - MOST_LINES} more lines (--json has them)"
    if failure.measured is not None:
        yield f"  {failure.measured.error:.3g} {clean(failure.measured.unit)} from " + clean(
            f"{failure.measured.reference}; at most {failure.measured.bound:.3g}"
        )
    if failure.hint:
        yield from wrapped("  hint: ", failure.hint, WIDTH)


def _grouped(title: str, outcomes: list[NotChecked] | list[NotApplicable]) -> Iterator[str]:
    """Outcomes by why, with their number and the first of them."""
    groups: dict[str, list[NotChecked | NotApplicable]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.why, []).append(outcome)
    if not groups:
        return
    yield f"{title} ({len(outcomes)})"
    for why, same in groups.items():
        names = few([clean(o.check) for o in same], MOST_NAMED)
        count = f"{len(same)}: " if len(same) > 1 else ""
        yield from wrapped("  ", f"{count}{names}: {why}", WIDTH, hang=4)
        hint = next((o.hint for o in same if isinstance(o, NotChecked) and o.hint), None)
        if hint:
            yield from wrapped("    hint: ", hint, WIDTH)
    yield ""


def _features(report: Report) -> Iterator[str]:
    """Features by the grade that they are proved to, and what their machine code promises."""
    if not report.features:
        return
    yield "features"
    rows = [
        [
            f"  {clean(one.package)}",
            clean(one.feature),
            one.grade or "not proved",
            f"foretold {one.foretold}" if one.foretold else "",
        ]
        for one in report.features
    ]
    yield from table(rows)
    yield ""


def _costs(report: Report) -> Iterator[str]:
    spent = []
    for cost in report.costs:
        memory = f", {human_bytes(cost.gpu_bytes)} of GPU memory" if cost.gpu_bytes else ""
        spent.append(f"{cost.grade} {cost.seconds:.1f} s{memory}")
    if spent:
        whole = f"{report.seconds:.1f} s: " if report.seconds else ""
        yield f"took         {whole}{'; '.join(spent)}"


def _verdict(report: Report) -> Iterator[str]:
    asked = f"asked for {report.asked}"
    if report.grade is None:
        yield f"grade        none ({asked})"
    else:
        yield f"grade        {report.grade} ({asked})"


def _outcome_lines(outcome: Outcome) -> Iterator[str]:
    """One check in one line, with its measured error where it has one."""
    match outcome:
        case Passed():
            word, text = "passed", outcome.detail
        case Failed():
            word, text = "FAILED", outcome.detail.partition("\n")[0]
        case NotChecked():
            word, text = "not checked", outcome.why
        case NotApplicable():
            word, text = "not applicable", outcome.why
    measured = getattr(outcome, "measured", None)
    if measured is not None:
        text = f"{text} {measured.error:.3g} of {measured.bound:.3g} {measured.unit}"
    first = f"  {outcome.grade:<9} {word:<15}"
    yield from wrapped(first, f"{outcome.check}: {text}" if text else outcome.check, WIDTH, hang=28)
