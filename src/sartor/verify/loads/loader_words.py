"""What the dynamic loader says of a library that it does not open, and what that means here."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Literal

import msgspec

from sartor import facts
from sartor.artifact.abi import OF_TORCH
from sartor.facts.linking import cuda_major, driver_sonames, matches, optional_globs, provider_of
from sartor.host.remedies import install_libraries
from sartor.verdict.case import TORCH
from sartor.verdict.environment_findings import pins_otherwise
from sartor.verdict.package_findings import not_provided
from sartor.verify.model import Failed, NotApplicable, Passed
from sartor.verify.subject.remedies import anew

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sartor.artifact.model import Library, Package
    from sartor.facts.packages import AlternativesFact
    from sartor.verify.model import Outcome
    from sartor.verify.subject.contents import Contents

    Kind = Literal["missing", "symbol", "version", "damaged", "machine", "crash", "hang", "other"]

# The texts of glibc's elf/dl-load.c, dl-lookup.c and dl-version.c, musl's of ldso/dynlink.c.
MISSING = re.compile(
    r"(\S+): cannot open shared object file: No such file|library (\S+?): \(needed"
)
SYMBOL = re.compile(r"undefined symbol: ([\w.@]+)|Error relocating \S+: (\w+): symbol not found")
VERSION = re.compile(r"version `([\w.]+)' not found")
DAMAGED = re.compile(
    r"file too short|invalid ELF header|past end of file|cannot read file data|not properly aligned"
    r"|object file has no loadable segments|cannot map|cannot allocate|no dynamic section"
    r"|unaligned|Exec format error"
)
MACHINE = re.compile(r"wrong ELF class|ELF file data encoding|ELF file OS ABI")
CRASH = re.compile(r"ended by (SIG\w+)|ended with status")
HANG = re.compile(r"did not end within")
OF_DRIVER = re.compile(r"cu[A-Z]")
"""A function of `cuda.h`."""
BY_CHOICE = ("missing", "symbol", "version")
"""How an alternative that is not for this machine fails."""


class Said(msgspec.Struct, frozen=True):
    """A kind of failure; ``name`` is the library, symbol or version that is spoken of."""

    kind: Kind
    name: str = ""


def said(words: str, library: Library | None, machine: str | None) -> Said:
    """Read the loader's words. ``machine`` is what libraries here are built for (``x86_64``)."""
    if library is not None and machine and library.machine not in {None, machine}:
        return Said("machine", library.machine or "")
    kinds: tuple[tuple[Kind, re.Pattern[str]], ...] = (
        ("hang", HANG),
        ("crash", CRASH),
        ("symbol", SYMBOL),
        ("version", VERSION),
        ("machine", MACHINE),
        ("damaged", DAMAGED),
        ("missing", MISSING),
    )
    for kind, pattern in kinds:
        if found := pattern.search(words):
            return Said(kind, next(filter(None, found.groups()), ""))
    return Said("other")


def explained(failed: Failed, path: str, contents: Contents) -> Failed | NotApplicable:
    """The failure with what the environment says of it, and the way out.

    *Not applicable* where a fact says that the library is loaded only where its needs are met.
    """
    case = contents.case
    library, package = case.by_path.get(path), contents.owner(path)
    words = said(failed.detail, library, case.host.architecture if case.host else None)
    optional = any(matches(path, glob) for glob in optional_globs())
    if words.kind in {"missing", "symbol"} and optional:
        why = f"loaded only where its own needs are met: `{words.name}` is not here"
        return NotApplicable(check=failed.check, grade="loads", package=failed.package, why=why)
    detail, hint = _meaning(words, library, package, contents)
    return msgspec.structs.replace(
        failed, detail="\n".join(filter(None, [failed.detail, detail])), hint=hint or failed.hint
    )


def lacks_symbol(failed: Failed) -> bool:
    """Whether nothing but a symbol stands in the way of a library."""
    return said(failed.detail, None, None).kind == "symbol"


def _meaning(
    words: Said, library: Library | None, package: Package | None, contents: Contents
) -> tuple[str, str | None]:
    """A sentence on what is behind the loader's words, and what to do."""
    again, build = anew(package), f"a build of {_named(package)} for this"
    what, hint = "", None
    match words.kind:
        case "missing":
            return _missing(words.name, library, package, contents)
        case "symbol":
            return _undefined(words.name, library, package, contents)
        case "version":
            host = contents.case.host
            here = f"; this system's glibc is {host.glibc}" if host and host.glibc else ""
            what = f"it was built for a newer system, which has {words.name}{here}"
            hint = f"a newer system, or {build} one"
        case "damaged":
            what, hint = "the file is cut short or altered: no library that can be loaded", again
        case "machine":
            what = f"it is built for another machine ({words.name or 'its ELF header says so'})"
            hint = f"install {build} machine"
        case "crash":
            what = "it crashes while it is opened, in code of its own that runs then"
            hint = f"install {build} CPU" if words.name == "SIGILL" else again
        case "hang":
            what, hint = "it does not come back from what it runs while it is opened", again
        case "other":
            pass
    return what, hint


def _missing(
    soname: str, library: Library | None, package: Package | None, contents: Contents
) -> tuple[str, str | None]:
    """Where a missing library is, or who would bring it."""
    case, name = contents.case, posixpath.basename(soname)
    user = _user(name, library, contents)
    needs = f"`{posixpath.basename(user.path)}` needs `{name}`" if user else f"`{name}` is needed"
    there = case.by_name.get(name, [])
    if there:
        looked = (user and (user.runpath or user.rpath)) or "no folder of its own"
        where = contents.names[there[0].path]
        what = f"{needs}: it is in the environment ({where}), not where that looks ({looked})"
        return what, f"install {_named(package)} together with what it was built with"
    row, major = provider_of(name), cuda_major(name)
    if row is not None:
        installed = next((d for d in row.distributions if d in case.by_distribution), None)
        if installed is not None and major is None:
            other = f"{installed} {case.by_distribution[installed].version}"
            what = f"{needs}: {other}, which is here, is a build without it"
            return what, f"install a build of {_named(package)} for {other}"
        form = f" for CUDA {major}" if major is not None else ""
        what = f"{needs}, which `{row.distributions[0]}`{form} brings: it is not installed"
        have = _cuda_of_torch(contents)
        if major is not None and have not in {None, major}:
            what += f"; the environment's PyTorch is built for CUDA {have}"
            return what, f"install a build of {_named(package)} for CUDA {have}"
        return what, f"install what {_named(package)} requires"
    what = f"{needs}: neither the environment nor the system has it"
    if case.host and any(fact.soname == name for fact in facts.libraries()):
        return what, install_libraries([name], case.host)
    return what, f"install the system's package that holds `{name}`"


def _user(soname: str, library: Library | None, contents: Contents) -> Library | None:
    """The library that needs it: the one that was opened, or one behind that."""
    if library is None or soname in library.needed:
        return library
    return next((lib for lib in contents.case.libraries if soname in lib.needed), library)


def _undefined(
    symbol: str, library: Library | None, package: Package | None, contents: Contents
) -> tuple[str, str | None]:
    """Who should define a symbol."""
    from sartor.artifact.demangle import demangle

    case = contents.case
    torch = case.by_distribution.get(TORCH)
    name = f"`{demangle([symbol]).get(symbol, symbol)}`"
    is_torchs = OF_TORCH.match(symbol) or (library and symbol in library.torch_symbols)
    if is_torchs and torch is not None:
        what = f"built for another PyTorch: {torch.version}, which is here, has no {name}"
        pin = pins_otherwise(case, package, torch) if package else None
        if pin is not None:
            what += f"; it requires `{TORCH}{pin.bounds}`"
        return what, f"install a build of {_named(package)} for torch {torch.version}"
    if library is not None and OF_DRIVER.match(symbol) and wants_driver(library, contents):
        what = f"the driver's library has no {name}: it is older than what this calls"
        return what, "install a newer driver (`sartor plan` says which the stack takes)"
    holders = [soname for soname in (library.needed if library else ()) if soname in case.by_name]
    among = ", ".join(f"`{soname}`" for soname in holders[:3])
    what = f"nothing that it needs defines {name}" + (f" (it needs {among})" if among else "")
    return what, anew(package)


def wants_driver(library: Library, contents: Contents) -> bool:
    """Whether a library, or one that it needs, needs the GPU's driver."""
    behind = [lib for name in library.needed for lib in contents.case.by_name.get(name, ())]
    return any(driver_sonames() & set(lib.needed) for lib in (library, *behind))


def _cuda_of_torch(contents: Contents) -> int | None:
    """The CUDA major that PyTorch's libraries are linked to."""
    torch = contents.case.by_distribution.get(TORCH)
    owned = contents.case.owned(torch) if torch else []
    majors = [lib.cuda_major for lib in owned if lib.cuda_major is not None]
    return max(majors, default=None)


def _named(package: Package | None) -> str:
    return f"`{package.name}`" if package else "it"


def alternatives_settled(
    outcomes: Sequence[tuple[str, Outcome]], contents: Contents
) -> list[Outcome]:
    """Of several libraries of which a package loads one, those that are not for this machine.

    ``outcomes`` with the paths. Where none of them opens, the one that lacks the least has failed;
    where they are for single versions of PyTorch, none need be for this one.
    """
    groups: dict[tuple[str, int], list[tuple[Library, Outcome]]] = {}
    facts_of: dict[int, AlternativesFact] = {}
    settled = dict(outcomes)
    for path, outcome in outcomes:
        library = contents.case.by_path.get(path)
        fact = contents.case.alternatives(library) if library else None
        if library is not None and fact is not None:
            facts_of[id(fact)] = fact
            groups.setdefault((outcome.package or "", id(fact)), []).append((library, outcome))
    for (_, key), group in groups.items():
        fact = facts_of[key]
        chosen = any(isinstance(outcome, Passed) for _, outcome in group) or fact.of_torch
        best = None if chosen else min(group, key=lambda pair: _lacks(contents, pair[0]))[0]
        for library, outcome in group:
            if library is not best and isinstance(outcome, Failed) and _is_by_choice(outcome):
                settled[library.path] = _not_chosen(outcome, fact)
    return [settled[path] for path, _ in outcomes]


def _lacks(contents: Contents, library: Library) -> int:
    owner = contents.owner(library.path)
    return len(not_provided(contents.case, owner, library))


def _is_by_choice(outcome: Failed) -> bool:
    words = said(outcome.detail, None, None)
    return words.kind in BY_CHOICE or words.name == "SIGILL"


def _not_chosen(outcome: Failed, fact: AlternativesFact) -> NotApplicable:
    line = outcome.detail.splitlines()[0] if outcome.detail else ""
    why = f"one of several: {fact.because} (this one: {line})"
    return NotApplicable(check=outcome.check, grade=outcome.grade, package=outcome.package, why=why)
