"""Whether the extensions of a resolution are for its very PyTorch, as far as that can be told.

Which symbols PyTorch's libraries export is not in the evidence; which of each other's they use is.
So a symbol that those use is surely there, and of another that is not known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.facts.packages import normalized
from sartor.plan.decision import Accepted, Decision, Rejected, Unchecked
from sartor.verdict.case import TORCH, is_torchs, needs_torch
from sartor.verdict.environment_findings import THREAD_LOCAL, pins_otherwise
from sartor.verdict.requirements import parse_line, satisfied

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.artifact.model import Library, Package
    from sartor.plan.closure.members import Members
    from sartor.verdict.case import Case

RULE = "torch-abi"
METADATA = "read from the metadata"
CODE = "read from the machine code"
STRINGS = {"cxx11", "pre-cxx11"}


def torch_decisions(members: Members) -> Iterator[Decision]:
    """One decision for each package whose libraries are linked against PyTorch's."""
    case = members.case
    torch = case.by_distribution.get(TORCH)
    if torch is None:
        return
    known = known_symbols(case)
    for package, libraries in case.groups:
        if package is None or package.name == TORCH:
            continue
        linked = [
            lib
            for lib in libraries
            if (lib.torch_symbols or needs_torch(lib)) and not case.is_for_one_torch(lib)
        ]
        if linked:
            yield _decided(case, package, torch, linked, known)


def known_symbols(case: Case) -> set[str]:
    """The symbols of PyTorch that its own libraries use of each other."""
    own = (library for library in case.libraries if is_torchs(library))
    return {name for library in own for name in library.torch_symbols}


def _decided(
    case: Case, package: Package, torch: Package, linked: list[Library], known: set[str]
) -> Decision:
    wanted = f"PyTorch as {package.name} {package.version} was built for"
    found = f"torch {torch.version}"
    wrong = pins_otherwise(case, package, torch)
    if wrong is not None:
        hint = f"take a build of {package.name} for {torch.version}, or {wrong.text}"
        return Rejected(RULE, f"{wrong.text} for {package.name}", found, METADATA, hint)
    strings = {lib.torch_abi for lib in linked} & STRINGS
    of_torch = {lib.torch_abi for lib in case.libraries if is_torchs(lib)} & STRINGS
    if strings and of_torch and not strings <= of_torch:
        found += f" has the {' and '.join(sorted(map(str, of_torch)))} ABI of std::string"
        wanted += f", with the {' and '.join(sorted(map(str, strings)))} ABI"
        return Rejected(RULE, wanted, found, CODE, f"take a build of {package.name} for it")
    symbols = {
        name
        for lib in linked
        if lib.torch_abi != "stable"
        for name in lib.torch_symbols
        if not name.startswith(THREAD_LOCAL)
    }
    if not symbols:
        what = "stable ABI alone" if any(lib.torch_symbols for lib in linked) else "no symbol of it"
        return Accepted(RULE, wanted, f"{found}: {what}", CODE)
    if symbols <= known:
        uses = f"{found}: its own libraries use all {len(symbols)} symbols of each other"
        return Accepted(RULE, wanted, uses, CODE)
    counted = f"{len(symbols & known)} of {len(symbols)} symbols are known to be there"
    if (pin := _pin(case, package, torch)) is not None:
        return Accepted(RULE, wanted, f"{found}; {counted}", f"{METADATA}: {pin}")
    return Unchecked(RULE, wanted, f"no exact version of {TORCH} is declared; {counted}")


def _pin(case: Case, package: Package, torch: Package) -> str | None:
    """Who says that the two belong together: the package, or one that requires both exactly."""
    if required := _exactly(package, TORCH, torch.version):
        return f"{package.name} requires {required}"
    for other in case.packages:
        of_package = _exactly(other, package.name, package.version)
        of_torch = _exactly(other, TORCH, torch.version) if of_package else None
        if of_torch:
            return f"{other.name} {other.version} requires {of_torch} and {of_package}"
    return None


def _exactly(package: Package, name: str, version: str) -> str | None:
    """The requirement on exactly that version, be it for an extra; None without one."""
    lines = (parse_line(line) for line in package.requires if name in normalized(line))
    return next(
        (
            required.text
            for required in lines
            if required is not None
            and required.name == name
            and any(bound.strip(" ()").startswith("==") for bound in required.bounds.split(","))
            and "*" not in required.bounds
            and satisfied(required, version)
        ),
        None,
    )
