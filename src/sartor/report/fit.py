"""Memory fit as people read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.paths import human_bytes
from sartor.report.table import table
from sartor.report.words import clean

if TYPE_CHECKING:
    from sartor.fit.model import Bound, FitReport, Placement, Share

MOST_OTHERS = 12


def fit_lines(report: FitReport) -> list[str]:
    """The answer, what it is made of, the other ways, what to change, what is not known."""
    lines = [f"model     {clean(report.model)}: {_model_words(report)}"]
    if report.kv_bytes_per_token:
        lines.append(f"cache     {human_bytes(report.kv_bytes_per_token)} a token{_state(report)}")
    elif report.state_bytes:
        lines.append(f"cache     {human_bytes(report.state_bytes)} a sequence, of any length")
    lines.append(f"host      {report.host}")
    asked = report.asked
    at_once = f", {asked.concurrency} at once" if asked.concurrency > 1 else ""
    lines.append(f"asked     {report.engine}, {asked.context} tokens{at_once}")
    lines += ["", *_answer(report)]
    if report.chosen is not None:
        lines += ["", *_shares(report.chosen)]
    lines += _others(report)
    if report.changes:
        lines += ["", "change first"]
        rows = [(f"  {c.what}", c.verdict, f"on {c.label}") for c in report.changes]
        lines += table(rows)
    lines += [f"unchecked {clean(what)}" for what in report.not_checked]
    return lines


def _model_words(report: FitReport) -> str:
    words = []
    if report.parameters:
        words.append(f"{report.parameters / 1e9:.1f}B parameters")
    if report.quantization:
        words.append(clean(report.quantization))
    words.append(f"{bound_words(report.weights)} of weights [{report.weights.grade}]")
    return ", ".join(words)


def _state(report: FitReport) -> str:
    return f", and {human_bytes(report.state_bytes)} a sequence" if report.state_bytes else ""


def bound_words(bound: Bound) -> str:
    """One size where it is sure, else from least to most."""
    if bound.least == bound.most:
        return human_bytes(bound.likely)
    return f"{human_bytes(bound.least)} to {human_bytes(bound.most)}"


def _answer(report: FitReport) -> list[str]:
    chosen = report.chosen
    if chosen is None:
        return [f"verdict   {report.verdict}"]
    lines = [f"verdict   {report.verdict}: {chosen.label}"]
    if report.verdict != "does not fit" and chosen.tokens.likely:
        lines.append(f"room      {_numbers(chosen.tokens)} tokens of KV cache")
        lines.append(f"          the longest sequence: {_numbers(chosen.longest)} tokens")
        at_once = f"{_numbers(chosen.concurrency)} at once"
        lines.append(f"          of {report.asked.context} tokens each: {at_once}")
    return lines


def _numbers(bound: Bound) -> str:
    if bound.least == bound.most:
        return f"{bound.likely}"
    return f"{bound.likely} ({bound.least} to {bound.most})"


def _shares(placement: Placement) -> list[str]:
    """What lies where; devices that hold the same are shown once."""
    lines: list[str] = []
    shown: list[Share] = []
    for share in placement.shares:
        if any(_same(share, other) for other in shown):
            continue
        shown.append(share)
        count = sum(_same(share, other) for other in placement.shares)
        lines += _share_lines(share, count)
    return lines


def _same(one: Share, other: Share) -> bool:
    named = (one.device and one.device.name) == (other.device and other.device.name)
    return named and one.parts == other.parts


def _share_lines(share: Share, count: int) -> list[str]:
    name = share.device.name if share.device else "main memory"
    many = f"{count}x " if count > 1 else ""
    rows = [(f"on {many}{name}", "least", "likely", "most", "")]
    rows += [
        (f"  {part.name}", *_sizes(part.bytes), f"[{part.bytes.grade}] {part.because}")
        for part in share.parts
        if part.bytes.most
    ]
    rows.append(("  together", *_sizes(share.needed), ""))
    rows.append(("  room", *_sizes(share.room), f"[{share.room.grade}]"))
    return table(rows)


def _sizes(bound: Bound) -> tuple[str, str, str]:
    return human_bytes(bound.least), human_bytes(bound.likely), human_bytes(bound.most)


def _others(report: FitReport) -> list[str]:
    others = [p for p in report.placements if p != report.chosen]
    if not others:
        return []
    rows = [(f"  {p.label}", p.verdict, _capacity(p)) for p in others[:MOST_OTHERS]]
    more = len(others) - MOST_OTHERS
    tail = [f"  and {more} more (`--json` has them all)"] if more > 0 else []
    return ["", "other ways", *table(rows), *tail]


def _capacity(placement: Placement) -> str:
    return f"{placement.tokens.likely} tokens" if placement.tokens.likely else ""
