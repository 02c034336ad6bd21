"""What `sartor verify --compare` says to people."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sartor.paths import human_bytes
from sartor.report.table import table
from sartor.report.verify import WIDTH, machine_words
from sartor.report.words import clean, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.verify.model import CheckDifference, Difference, ReportComparison, ReportSide

MOST_SHOWN = 12


def comparison_lines(found: ReportComparison, *, detail: bool = False) -> list[str]:
    """The two, what differs in machine and packages, the checks, what was measured, the costs."""
    most = 1 << 30 if detail else MOST_SHOWN
    lines = [line for name, side in (("A", found.a), ("B", found.b)) for line in _side(name, side)]
    lines += _differences("machine", found.machine, most)
    lines += _differences("packages", found.packages, most)
    lines += _files(found, most)
    lines += _checks(found, most)
    lines += _features(found, most)
    lines += _measured(found, most)
    lines += ["", *_costs(found)]
    return [*lines, f"B is {'worse than' if found.worse else 'no worse than'} A"]


def _side(name: str, side: ReportSide) -> Iterator[str]:
    yield f"{name}  {side.grade or 'none'} of {side.asked}  {clean(side.environment)}"
    yield f"   {clean(side.made_at)}, {machine_words(side.machine)}"


def _differences(title: str, rows: list[Difference], most: int) -> list[str]:
    if not rows:
        return []
    cells = [
        [f"  {clean(r.what)}", clean(r.a or "-"), "->", clean(r.b or "-")] for r in rows[:most]
    ]
    return ["", title, *table(cells), *_more(len(rows) - most)]


def _files(found: ReportComparison, most: int) -> list[str]:
    count = f"files with machine code: {found.same_files} the same, {len(found.files)} not"
    names = [f"  {clean(row.what)}: {_how(row)}" for row in found.files[:most]]
    return ["", count, *names, *_more(len(found.files) - most)]


def _how(row: Difference) -> str:
    if row.a is None:
        return "in B alone"
    return "in A alone" if row.b is None else row.why or "another content"


def _checks(found: ReportComparison, most: int) -> list[str]:
    lines = ["", f"checks: {found.same_checks} the same, {len(found.checks)} not"]
    for row in sorted(found.checks, key=lambda c: not c.worse)[:most]:
        lines += wrapped("  ", _check(row), WIDTH, hang=4)
    return [*lines, *_more(len(found.checks) - most)]


def _check(row: CheckDifference) -> str:
    mark = "worse: " if row.worse else ""
    return f"{mark}{row.check} ({row.grade}): {row.a or 'not there'} -> {row.b or 'not there'}" + (
        f"; {row.why}" if row.worse and row.why else ""
    )


def _features(found: ReportComparison, most: int) -> list[str]:
    if not found.features:
        return []
    rows = [
        [
            f"  {clean(f.package)}",
            clean(f.feature),
            (f.a or "not proved") if f.in_a else "-",
            "->",
            (f.b or "not proved") if f.in_b else "-",
        ]
        for f in found.features[:most]
    ]
    return ["", "features", *table(rows), *_more(len(found.features) - most)]


def _measured(found: ReportComparison, most: int) -> list[str]:
    if not found.measured:
        return []
    counts = Counter(pair.outputs for pair in found.measured)
    said = ", ".join(f"{count} {word}" for word, count in counts.items())
    rows = [
        [f"  {clean(p.check)}", f"{p.error_a:.3g}", "->", f"{p.error_b:.3g}", p.unit, p.outputs]
        for p in found.measured
        if most > MOST_SHOWN or p.outputs in ("different", "not repeated")
    ]
    lines = ["", f"outputs, bit for bit: {said}"]
    if counts["not repeated"]:
        lines.append("  not repeated: in one and the same stack they differ from call to call")
    return [*lines, *(table(rows[:most]) if rows else []), *_more(len(rows) - most)]


def _costs(found: ReportComparison) -> list[str]:
    rows = [
        [
            f"  {c.grade}",
            _seconds(c.seconds_a),
            "->",
            _seconds(c.seconds_b),
            _memory(c.gpu_bytes_a, c.gpu_bytes_b),
        ]
        for c in found.costs
    ]
    return ["costs", *table(rows), ""] if rows else []


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


def _memory(a: int | None, b: int | None) -> str:
    if a is None and b is None:
        return ""
    return f"{human_bytes(a or 0)} -> {human_bytes(b or 0)} of GPU memory"


def _more(count: int) -> list[str]:
    return [f"  and {count} more (--detail shows them)"] if count > 0 else []
