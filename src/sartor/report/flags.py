"""Options, findings about a command line, and translations as text."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from sartor.flags.model import (
    Change,
    FlagFinding,
    FlagFindings,
    Option,
    OptionsDiff,
    OptionSet,
    Translation,
    Variable,
)
from sartor.report.table import table

if TYPE_CHECKING:
    from collections.abc import Iterable

    import msgspec

WIDTH = 98
MOST = 44


def flags_lines(document: msgspec.Struct) -> list[str]:
    """What `sartor flags` prints."""
    match document:
        case OptionSet():
            return _set_lines(document)
        case OptionsDiff():
            return _diff_lines(document)
        case FlagFindings():
            return _finding_lines(document)
        case Translation():
            return _translation_lines(document)
        case _:
            raise TypeError(type(document).__name__)


def status(document: msgspec.Struct) -> int:
    """1 where something of a command line is wrong as it stands."""
    wrong: list[FlagFinding] = []
    if isinstance(document, FlagFindings):
        wrong = document.wrong
    elif isinstance(document, Translation):
        wrong = document.findings
    return int(any(f.state != "changed" for f in wrong))


def _set_lines(document: OptionSet) -> list[str]:
    head = f"{document.project} {document.version}"
    counts = f"{len(document.options)} options, {len(document.variables)} environment variables"
    lines = [head, "=" * len(head), f"{counts}, read from {document.file}"]
    if document.platform:
        lines.append(f"as the package answers its own questions on {document.platform}")
    for group in dict.fromkeys(o.group for o in document.options):
        rows = [_row(o) for o in document.options if o.group == group]
        lines += ["", group or "general", *(f"  {line}" for line in table(rows))]
    if document.variables:
        rows = [_variable_row(v) for v in document.variables]
        lines += ["", "environment variables", *(f"  {line}" for line in table(rows))]
    if document.not_read:
        lines += ["", "not read", *(f"  {n.what}: {n.why}" for n in document.not_read)]
    return lines


def _row(option: Option) -> list[str]:
    aliases = [n for n in option.names if n != option.name and not n.startswith("--no-")]
    names = ", ".join([option.name, *aliases])
    deprecated = "deprecated" if option.deprecated else ""
    if option.replaced_by:
        deprecated = f"deprecated: {option.replaced_by}"
    return [names, _takes(option), _default(option), deprecated]


def _takes(option: Option) -> str:
    if option.choices is not None:
        return _short("|".join(str(c) for c in option.choices))
    if option.action == "boolean":
        return "on/off"
    if option.type in {"bool", "none"}:
        return "flag"
    many = {"*": " …", "+": " …", "?": "?"}.get(str(option.nargs or ""), "")
    return f"{'value' if option.type == 'other' else option.type}{many}"


def _default(option: Option) -> str:
    if option.default_unknown:
        return "default not told"
    if option.default_text is not None:
        return _short(option.default_text)
    if option.default in (None, "==SUPPRESS==") or (option.default is False):
        return ""
    return _short(str(option.default))


def _variable_row(variable: Variable) -> list[str]:
    kind = "|".join(variable.choices) if variable.choices else variable.type or ""
    return [variable.name, _short(kind), _short(variable.default or ""), variable.replaced_by or ""]


def _short(text: str) -> str:
    return text if len(text) <= MOST else f"{text[: MOST - 1]}…"


def _diff_lines(document: OptionsDiff) -> list[str]:
    head = f"{document.engine} {document.before} → {document.after}"
    lines = [head, "=" * len(head)]
    lines += _block("new options", document.added)
    gone = [f"{c.name}: {c.after}" if c.after else c.name for c in document.removed]
    lines += _block("options that are gone", gone)
    if document.changed:
        rows = [_change_row(c) for c in document.changed]
        lines += ["", f"changed ({len(rows)})", *(f"  {line}" for line in table(rows))]
    lines += _block("new environment variables", document.variables_added)
    lines += _block("environment variables that are gone", document.variables_removed)
    if document.not_compared:
        lines += ["", "not compared", *(f"  {text}" for text in document.not_compared)]
    return lines


def _change_row(change: Change) -> list[str]:
    arrow = " → ".join(_short(part) for part in (change.before, change.after) if part is not None)
    return [change.name, change.what, arrow]


def _block(title: str, names: Iterable[str]) -> list[str]:
    names = list(names)
    if not names:
        return []
    return ["", f"{title} ({len(names)})", *(f"  {name}" for name in names)]


def _finding_lines(document: FlagFindings) -> list[str]:
    wrong, fine = document.wrong, len(document.findings) - len(document.wrong)
    head = f"{document.engine} {document.version}: {_count(len(wrong))} of "
    lines = [f"{head}{len(document.findings)} options and variables"]
    for finding in wrong:
        lines += _of(finding)
    notes = [f for f in document.findings if f.state == "ok" and f.because]
    for finding in notes:
        lines += _of(finding)
    if fine > len(notes):
        lines.append(f"  ok: {' '.join(_names(document))}")
    lines += [f"  not checked: {text}" for text in document.not_checked]
    return lines


def _names(document: FlagFindings) -> list[str]:
    return [f.flag for f in document.findings if f.state == "ok" and not f.because]


def _count(number: int) -> str:
    return "nothing is wrong with any" if not number else f"something is to say of {number}"


def _of(finding: FlagFinding) -> list[str]:
    since = f" since {finding.since}" if finding.since else ""
    lines = [f"  {finding.flag}: {finding.state}{since}"]
    if finding.because:
        lines += textwrap.wrap(
            finding.because, WIDTH, initial_indent="      ", subsequent_indent="      "
        )
    if finding.replacement:
        lines.append(f"      instead: {finding.replacement}")
    if finding.closest:
        lines.append(f"      closest: {', '.join(finding.closest)}")
    return lines


def _translation_lines(document: Translation) -> list[str]:
    lines = [document.command, "", f"{document.before} → {document.after}"]
    for step in document.steps:
        if step.outcome == "kept":
            continue
        words = f" → {' '.join(step.words)}" if step.words else ""
        lines.append(f"  {step.flag}: {step.outcome.replace('-', ' ')}{words}")
        if step.because:
            lines += textwrap.wrap(
                step.because, WIDTH, initial_indent="      ", subsequent_indent="      "
            )
    for finding in document.findings:
        lines += _of(finding)
    return lines
