"""A plan as people read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from sartor.paths import human_bytes
from sartor.plan.model import Accepted, Candidate, Decision, Rejected, Unchecked

if TYPE_CHECKING:
    from sartor.plan.model import Plan


def plan_lines(plan: Plan) -> list[str]:
    """The chosen stack, why it, what was not checked, and the others in one line each."""
    stack = plan.stack
    lines = [f"host      {plan.host}", f"stack     {stack.label}"]
    lines += [f"model     {plan.model or 'the demo model (random weights)'}"]
    lines += [f"packages  {', '.join(stack.requirements)}"]
    if stack.python.version:
        lines.append(f"python    {stack.python.version} ({stack.python.path or 'described'})")
    where = ", ".join(d.name for d in plan.fit.devices) or "the CPU"
    memory = ""
    if plan.fit.needed_bytes and plan.fit.available_bytes:
        needed, room = human_bytes(plan.fit.needed_bytes), human_bytes(plan.fit.available_bytes)
        memory = f", at least {needed} of {room}"
    lines.append(f"runs on   {where}, context {plan.fit.context} tokens{memory}")
    lines += [f"because   {reason}" for reason in plan.because]
    lines += [f"unchecked {what}" for what in plan.not_checked]
    others = [c for c in plan.candidates if (c.engine, c.build) != (stack.engine, stack.build)]
    lines += [f"not       {_one_line(c)}" for c in others]
    lines.append(f"grade     {plan.grade}: nothing here was read from machine code")
    return lines


def explain_lines(plan: Plan) -> list[str]:
    """Every candidate with every decision."""
    lines = []
    for candidate in plan.candidates:
        lines += ["", f"{candidate.engine} ({candidate.build}): {candidate.label}"]
        lines += [f"  {_decision(decision)}" for decision in candidate.decisions]
    return lines


def _one_line(candidate: Candidate) -> str:
    rejections = candidate.rejections
    name = f"{candidate.engine} ({candidate.build})"
    if not rejections:
        return f"{name}: it would do as well; the chosen one ranks before it"
    first = rejections[0]
    return f"{name}: {first.rule}: wanted {first.wanted}; found {first.found}"


def _decision(decision: Decision) -> str:
    match decision:
        case Accepted(rule, wanted, found, evidence):
            return f"yes  {rule}: wanted {wanted}; found {found} [{evidence}]"
        case Rejected(rule, wanted, found, evidence, hint):
            way = f"; {hint}" if hint else ""
            return f"no   {rule}: wanted {wanted}; found {found}{way} [{evidence}]"
        case Unchecked(rule, wanted, why):
            return f"?    {rule}: wanted {wanted}; not checked: {why}"
        case _:
            assert_never(decision)
