"""Whether a plan's document says what a case expects: every difference, as a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from plan_cases import Case, Expect, RejectedAs

Document = dict[str, Any]


def differences(case: Case, plan: Document) -> list[str]:
    """What of the document is not as the case has it; empty where all is."""
    expect = case.expect
    found = list(_status(expect, plan))
    if plan["status"] == "ready":
        found += _stack(expect, plan["stack"])
        found += _features(expect, plan)
    elif "ready" not in expect.statuses and plan.get("stack"):
        found.append(f"there is a stack where the status is {plan['status']}")
    found += [line for row in expect.rejected if (line := _rejected(row, plan))]
    found += _listed("remedy", expect.remedies, (r["kind"] for r in plan.get("remedies", [])))
    offered = (row["strategy"] for row in plan.get("alternatives", []))
    found += _listed("alternative", expect.alternatives, offered)
    text = msgspec.json.encode(plan).decode().lower()
    found += [f"`{word}` is nowhere said" for word in expect.mentions if word.lower() not in text]
    return found + list(_shares(expect, plan))


def _status(expect: Expect, plan: Document) -> Iterator[str]:
    if plan["status"] not in expect.statuses:
        yield f"the status is {plan['status']}, not {' or '.join(expect.statuses)}"


def _stack(expect: Expect, stack: Document) -> Iterator[str]:
    for field in ("engine", "strategy", "version"):
        wanted = getattr(expect, field)
        if wanted is not None and stack[field] != wanted:
            yield f"the {field} is {stack[field]}, not {wanted}"
    if expect.python is not None and not f"{_version(stack['python'])}.".startswith(
        f"{expect.python}."
    ):
        yield f"the Python is {stack['python']}, not {expect.python}"
    packages = {canonicalize_name(p["name"]): p for p in stack["packages"]}
    for name, version in expect.versions.items():
        there = packages.get(canonicalize_name(name))
        if there is None:
            yield f"{name} is not in the stack"
        elif there["version"] != version:
            yield f"{name} is {there['version']}, not {version}"
    for name in expect.without:
        if canonicalize_name(name) in packages:
            yield f"{name} is in the stack"
    torch = packages.get(canonicalize_name("torch"))
    if expect.cuda is not None and (torch is None or torch["cuda"] != expect.cuda):
        yield f"torch is for CUDA {torch and torch['cuda']}, not {expect.cuda}"
    needed = (row["soname"] for row in stack["system_packages"])
    yield from _listed("system library", expect.system_packages, needed)


def _version(python: Document | str | None) -> str:
    return str(python["version"] if isinstance(python, dict) else python)


def _features(expect: Expect, plan: Document) -> Iterator[str]:
    verdicts: dict[str, set[str]] = {}
    for row in plan["features"]:
        verdicts.setdefault(row["name"], set()).add(row["verdict"])
    for verdict, names in (
        ("missing", expect.lost),
        ("jit", expect.compiled),
        ("native", expect.native),
    ):
        for name in names:
            if verdict not in verdicts.get(name, set()):
                said = ", ".join(sorted(verdicts.get(name, {"not listed"})))
                yield f"`{name}` is {said}, not {verdict}"


def _rejected(row: RejectedAs, plan: Document) -> str | None:
    rules: set[str] = set()
    for rejected in plan["rejected"]:
        known = rejected["candidate"]
        if known["engine"] == row.engine and row.version in {None, known["version"]}:
            rules |= {
                decision["rule"]
                for decision in rejected["decisions"]
                if decision.get("outcome", "rejected") == "rejected"
            }
    if rules & set(row.rules):
        return None
    said = f"rejected by {', '.join(sorted(rules))}" if rules else "not rejected at all"
    candidate = f"{row.engine} {row.version or ''}".rstrip()
    return f"{candidate} is not rejected by {' or '.join(row.rules)}: it is {said}"


def _shares(expect: Expect, plan: Document) -> Iterator[str]:
    if not expect.served and not expect.unserved:
        return
    served = {name: share["served"] for share in plan["shares"] for name in share["gpus"]}
    for wanted, names in ((True, expect.served), (False, expect.unserved)):
        for name in names:
            if not any(name in gpu and state is wanted for gpu, state in served.items()):
                yield f"{name} is {'not ' if wanted else ''}served: {served}"


def _listed(what: str, wanted: Iterable[str], there: Iterable[str]) -> list[str]:
    have = set(there)
    return [f"no {what} `{name}`: {sorted(have)}" for name in wanted if name not in have]
