"""A plan as people read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from sartor.paths import human_bytes
from sartor.plan.model import Accepted, Decision, Rejected, Unchecked
from sartor.plan.outcome import Found
from sartor.plan.words import name_of, reason
from sartor.report.conflicts import conflict_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sartor.plan.model import Plan, Stack, Tried
    from sartor.plan.outcome import Alternative, Compile, Remedy, SystemPackage

FEW = 6
ABOUT_CONFLICTS = "conflicts: "


def plan_lines(plan: Plan) -> list[str]:
    """The answer first, what it rests on, what was not checked, the others in few lines."""
    lines = [f"host      {plan.host}", f"model     {plan.model or 'the demo model'}"]
    if plan.stack is None:
        lines += [f"status    {plan.status}: {_nothing(plan)}"]
    else:
        lines += _stack_lines(plan, plan.stack)
    lines += [f"because   {text}" for text in plan.because]
    lines += [f"warning   {text}" for text in plan.warnings]
    lines += _features(plan)
    lines += _compiles(plan.first_use_compiles)
    lines += [f"system    {_system(one)}" for one in _missing(plan)]
    open_questions = [t for t in plan.not_checked if not t.startswith(ABOUT_CONFLICTS)]
    lines += [f"unchecked {text}" for text in _few(open_questions)]
    lines += [f"not       {text}" for text in others(plan.rejected)]
    lines += _conflicts(plan)
    lines += [
        f"index     {i.alias}: {i.state}{f' ({i.why})' if i.why else ''}" for i in plan.indexes
    ]
    lines += [line for way in plan.alternatives for line in _way(way)]
    lines += [line for remedy in plan.remedies for line in _remedy(remedy)]
    lines += [f"grade     {aspect}: {grade}" for aspect, grade in plan.grades.items()]
    return [*lines, *(f"next      {command}" for command in plan.next)]


def _nothing(plan: Plan) -> str:
    """That nothing fits, as far as was looked: of an index out of reach nothing is known."""
    unreached = [index.alias for index in plan.indexes if index.state == "not reached"]
    if not unreached:
        return "nothing that is published fits"
    return f"nothing is known that fits; not reached: {', '.join(unreached)}"


def _stack_lines(plan: Plan, stack: Stack) -> Iterator[str]:
    yield f"stack     {stack.label}"
    cuda = plan.chosen.candidate.cuda if plan.chosen else None
    torch = plan.chosen.candidate.torch if plan.chosen else None
    with_cuda = f", CUDA {cuda}" if cuda else ""
    named = f"torch {torch}{with_cuda}; " if torch else ""
    yield f"packages  {named}{len(stack.packages) or 'not resolved'} in all: " + ", ".join(
        stack.requirements
    )
    if stack.python.version:
        yield f"python    {stack.python.version} ({stack.python.path or 'described'})"
    if plan.fit is not None:
        where = ", ".join(d.name for d in plan.fit.devices) or "the CPU"
        memory = ""
        if plan.fit.needed_bytes and plan.fit.available_bytes:
            needed, room = human_bytes(plan.fit.needed_bytes), human_bytes(plan.fit.available_bytes)
            memory = f", at least {needed} of {room}"
        yield f"runs on   {where}, context {plan.fit.context} tokens{memory}"
    if plan.sizes is not None:
        unknown = plan.sizes.files_of_unknown_size
        more = f", and {unknown} files whose size no index says" if unknown else ""
        yield f"download  {human_bytes(plan.sizes.download_bytes)}{more}"
    if stack.env:
        yield "variables " + " ".join(f"{name}={value}" for name, value in stack.env.items())


def _features(plan: Plan) -> Iterator[str]:
    """How many features are native on each GPU, and which are not, by name."""
    for gpu in dict.fromkeys(f.gpu for f in plan.features):
        own = [f for f in plan.features if f.gpu == gpu]
        native = sum(f.verdict == "native" for f in own)
        rest = [
            f"{f.name}: {f.verdict}" for f in own if f.verdict not in {"native", "not-applicable"}
        ]
        yield f"features  {gpu}: {native} native" + (f"; {'; '.join(rest)}" if rest else "")


def _compiles(found: Sequence[Compile]) -> Iterator[str]:
    """What the driver compiles, each with its time; of other compilers who calls them."""
    for one in found:
        if one.units:
            yield f"compiles  {_compile(one)}"
    callers: dict[str, list[str]] = {}
    for one in found:
        if not one.units:
            callers.setdefault(one.compiler, []).append(one.package)
    for compiler, packages in callers.items():
        yield f"compiles  by {compiler}, as it runs: {', '.join(dict.fromkeys(packages))}"


def _compile(one: Compile) -> str:
    count = f", {one.units} units" if one.units else ""
    time = f", {one.seconds[0]:.0f} to {one.seconds[1]:.0f} s" if one.seconds else ""
    return f"{one.package}: {one.what}, by {one.compiler}{count}{time}"


def _missing(plan: Plan) -> list[SystemPackage]:
    needed = plan.stack.system_packages if plan.stack else []
    return [one for one in needed if one.state != "there"]


def _system(one: SystemPackage) -> str:
    who = " or ".join(dict.fromkeys(one.packages.values()))
    return f"{one.soname}: {one.state}{f' (package {who})' if who else ''}"


def _few(texts: Sequence[str]) -> list[str]:
    more = len(texts) - FEW
    shown = list(texts[:FEW])
    return [*shown, f"and {more} more (`--explain`)"] if more > 0 else shown


def others(rejected: Sequence[Tried]) -> Iterator[str]:
    """The candidates that were not taken; releases in a row that have one reason as one."""
    runs: list[tuple[str, str, list[Tried]]] = []
    for tried in rejected:
        first = tried.rejections[0] if tried.rejections else None
        key = f"{tried.candidate.engine} {tried.candidate.line}"
        same = "" if first is None else f"{first.rule} {first.wanted}"
        if runs and runs[-1][0] == key and runs[-1][1] == same:
            runs[-1][2].append(tried)
        else:
            runs.append((key, same, [tried]))
    for _, _, run in runs:
        names = name_of(run[0])
        if len(run) > 1:
            names += f" to {run[-1].candidate.version} ({len(run)} releases)"
        first = run[0].rejections[0] if run[0].rejections else None
        yield f"{names}: {reason(first).splitlines()[0] if first else 'not judged'}"


def _conflicts(plan: Plan) -> list[str]:
    """The conflicts, if any, each with its derivation, and whether they are all."""
    if not plan.conflicts:
        return []
    about = [text for text in plan.not_checked if text.startswith(ABOUT_CONFLICTS)]
    left = [text.removeprefix(ABOUT_CONFLICTS) for text in about]
    return ["", *conflict_lines(Found(plan.conflicts, plan.all_conflicts, left)), ""]


def _way(way: Alternative) -> list[str]:
    cost = way.cost
    took = f", about {cost.seconds / 60:.0f} min" if cost.seconds else ""
    disk = f", {human_bytes(cost.disk_bytes)}" if cost.disk_bytes else ""
    head = f"way       {way.strategy}: {way.what}{took}{disk} ({cost.trust})"
    because = " ".join(way.because.split())
    return [head, f"          {because}", *(f"          $ {c}" for c in way.commands)]


def _remedy(remedy: Remedy) -> list[str]:
    unlocks = f": would unlock {', '.join(remedy.unlocks)}" if remedy.unlocks else ""
    return [f"remedy    {remedy.what}{unlocks}", *(f"          $ {c}" for c in remedy.commands)]


def explain_lines(plan: Plan) -> list[str]:
    """Every candidate with every decision."""
    tried = [plan.chosen, *plan.rejected] if plan.chosen else plan.rejected
    lines = []
    for one in tried:
        if one is not None:
            lines += ["", f"{name_of(one)}: {one.candidate.label}"]
            lines += [f"  {_decision(decision)}" for decision in one.decisions]
    return [*lines, "", *(f"unchecked {text}" for text in plan.not_checked[FEW:])]


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
