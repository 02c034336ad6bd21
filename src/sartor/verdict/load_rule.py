"""What a driver does with one image on one GPU, and which image of a container it takes.

The rule was tried on an H200, by handing thousands of real images and every order of constructed
ones to the driver (`docs/fatbin-load-rule.md`). What neither that nor NVIDIA's documents settle is
`Unknown`, with the reason. All numbers come from the facts.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Protocol

import msgspec
from packaging.version import Version

from sartor import facts
from sartor.facts.versions import known_version, leaves_open

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sartor.artifact.model import ImageKind
    from sartor.facts import ArchFact
    from sartor.verdict.model import Target

ARCHITECTURE = re.compile(r"(?:sm|compute|lto)_(\d+)(\d)([af]?)", re.ASCII)


class DeviceImage(Protocol):
    """What the rule looks at of an image; `sartor.artifact.model.Image` is one."""

    @property
    def kind(self) -> ImageKind:
        """What it is."""

    @property
    def arch(self) -> str:
        """As the toolkit writes it: ``sm_90a``, ``compute_80``, ``lto_90``."""

    @property
    def ptx_isa(self) -> str | None:
        """The ``.version`` of PTX."""

    @property
    def compression(self) -> str | None:
        """``lz4``, ``zstd``, None for none, or ``unknown``."""


class Native(msgspec.Struct, frozen=True, tag=True):
    """Machine code that the GPU runs."""


class Jit(msgspec.Struct, frozen=True, tag=True):
    """PTX that the driver compiles; drivers of CUDA ``needs_driver_cuda`` and newer do."""

    needs_driver_cuda: str


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The driver does not load it."""

    why: str


class Unknown(msgspec.Struct, frozen=True, tag=True):
    """Not settled."""

    why: str


Outcome = Native | Jit | Refused | Unknown


class Chosen(msgspec.Struct, frozen=True, tag=True):
    """The driver takes the image of that index, and no other if that one fails."""

    index: int


class Nothing(msgspec.Struct, frozen=True, tag=True):
    """No image is for the GPU."""


class Unsettled(msgspec.Struct, frozen=True, tag=True):
    """One of the images of these indices; which of them was not tried."""

    among: list[int]
    why: str


Choice = Chosen | Nothing | Unsettled


class Architecture(msgspec.Struct, frozen=True):
    """``sm_100f``: compute capability 10.0, suffix ``f``."""

    major: int
    minor: int
    suffix: str

    @property
    def capability(self) -> str:
        """As ``10.0``."""
        return f"{self.major}.{self.minor}"

    @property
    def number(self) -> tuple[int, int]:
        """What newer and older is said of."""
        return self.major, self.minor


@lru_cache(1 << 12)
def architecture(text: str) -> Architecture | None:
    """Read ``sm_90a``, ``compute_80`` or ``lto_90``; None for anything else."""
    found = ARCHITECTURE.fullmatch(text)
    return Architecture(int(found[1]), int(found[2]), found[3]) if found else None


def image_outcome(
    image: DeviceImage, target: Target, toolkit: str | None = None, *, relocatable: bool = False
) -> Outcome:
    """What the driver does with ``image``, handed to it alone, on ``target``.

    ``toolkit`` is the CUDA release that compiled it, where that was read. ``relocatable``: it
    stands in ``__nv_relfatbin``. Where the target's driver is not known, one that is new enough is
    assumed, except that `Jit` says what it takes.
    """
    fit = _fits(image, target)
    if fit is not None:
        return fit
    if relocatable:
        return Unknown("relocatable code: it is linked with the library's other such code")
    if image.kind == "ltoir":
        return Refused("the driver does not compile LTO-IR when it loads it")
    unpacked = _unpacked(image.compression, target)
    if unpacked is not None:
        return unpacked
    if image.kind == "ptx":
        return _compiled(image.ptx_isa, target)
    return _of_major(toolkit, target) or Native()


def container_outcome(images: Sequence[DeviceImage], target: Target) -> Outcome:
    """What the driver does with a container of ``images``: what it does with the one it takes."""
    match choose(images, target):
        case Chosen(index):
            return image_outcome(images[index], target)
        case Unsettled(among, why):
            outcomes = {image_outcome(images[index], target) for index in among}
            return outcomes.pop() if len(outcomes) == 1 else Unknown(why)
        case Nothing():
            return Refused(f"no image for {target.compute_capability}")


def choose(images: Sequence[DeviceImage], target: Target) -> Choice:
    """Which image of a container the driver takes; by the headers of the entries alone.

    Machine code before PTX; code for the GPU's own ``a`` form before plain code, and of equals the
    first. Of PTX that for the newest architecture, ``a`` before plain, and of equals the first,
    but the *last* of plain ones for exactly the GPU. The PTX's version is not looked at: one that
    is too new for the driver is taken, and fails, although an older one stands beside it.
    """
    fits = [_fits(image, target) for image in images]
    doubtful = [i for i, fit in enumerate(fits) if isinstance(fit, Unknown)]
    cubins = [i for i, fit in enumerate(fits) if fit is None and images[i].kind == "cubin"]
    texts = [i for i, fit in enumerate(fits) if fit is None and images[i].kind == "ptx"]
    linked = [i for i, fit in enumerate(fits) if fit is None and images[i].kind == "ltoir"]
    reasons = (fit.why for fit in fits if isinstance(fit, Unknown))
    doubt = f"whether an image fits is not known: {next(reasons, '')}"
    if any(images[i].kind == "cubin" for i in doubtful):
        return Unsettled([*doubtful, *cubins, *texts], doubt)
    if cubins:
        return _best(images, cubins, target)
    if doubtful:
        return Unsettled([*doubtful, *texts], doubt)
    if texts:
        return _best(images, texts, target)
    return Chosen(linked[0]) if linked else Nothing()


def _best(images: Sequence[DeviceImage], fitting: list[int], target: Target) -> Choice:
    """Of images of one kind, each of which fits."""
    codes = {i: code for i in fitting if (code := architecture(images[i].arch))}
    number = max(code.number for code in codes.values())
    native = images[fitting[0]].kind == "cubin"
    if native and any(code.number != number for code in codes.values()):
        return Unsettled(fitting, "machine code for several minor versions: no such GPU was tried")
    newest = {i: code.suffix for i, code in codes.items() if code.number == number}
    suffix = max(newest.values())
    if suffix == "f" and len(set(newest.values())) > 1:
        why = "family-specific code beside other code: no such GPU was tried"
        return Unsettled(list(newest), why)
    best = [i for i in newest if newest[i] == suffix]
    exact = codes[best[0]].capability == target.compute_capability
    return Chosen(best[-1] if exact and not native and not suffix else best[0])


def _fits(image: DeviceImage, target: Target) -> Refused | Unknown | None:
    """Why ``image`` is not for the GPU, whatever the driver; None where it is."""
    device, code = architecture(target.gpu), architecture(image.arch)
    if device is None or device.capability != target.compute_capability:
        return Unknown(f"{target.gpu} ({target.compute_capability}) is no GPU that can be judged")
    if image.kind == "unknown" or code is None:
        return Unknown(f"{image.arch}: an image of a kind that is not known")
    return _fits_cubin(code, device) if image.kind == "cubin" else _fits_ptx(code, device)


def _fits_cubin(code: Architecture, device: Architecture) -> Refused | Unknown | None:
    """Why machine code is not for the device; None where it is."""
    renamed = _renamed(code, device)
    if renamed is not None:
        return renamed
    if code.suffix:
        return _suffixed(code, device)
    if code.major != device.major or code.minor > device.minor:
        return Refused(f"machine code for {code.capability} does not run on {device.capability}")
    ours, theirs = _fact(device), _fact(code)
    if code.number != device.number and (ours is None or theirs is None):
        return Unknown(f"{code.capability} or {device.capability} is not in the facts")
    if ours is not None and theirs is not None and ours.tegra != theirs.tegra:
        return Unknown(
            f"of {code.capability} and {device.capability} one is a Tegra part: NVIDIA promises "
            "nothing between them, and it was not tried"
        )
    return None


def _fits_ptx(code: Architecture, device: Architecture) -> Refused | Unknown | None:
    """Why PTX is not for the device, whatever the driver; None where it is."""
    if code.suffix:
        return _renamed(code, device) or _suffixed(code, device)
    if code.number > device.number:
        return _renamed(code, device) or Refused(
            f"PTX for {code.capability} is not compiled for the older {device.capability}"
        )
    return None


def _suffixed(code: Architecture, device: Architecture) -> Refused | Unknown | None:
    """``a``: that compute capability alone. ``f``: its family, from its own minor version on."""
    if code.number == device.number:
        return None
    refused = Refused(
        f"code for {code.capability}{code.suffix} is for "
        f"{'its family' if code.suffix == 'f' else 'that compute capability'} alone"
    )
    if code.suffix == "a" or code.number > device.number:
        return refused
    if code.major != device.major:
        return refused
    ours, theirs = _fact(device), _fact(code)
    if ours is None or theirs is None or ours.family is None or theirs.family is None:
        return Unknown(f"whether {device.capability} is of {code.capability}'s family is not known")
    return None if ours.family == theirs.family else refused


def _renamed(code: Architecture, device: Architecture) -> Unknown | None:
    fact = _fact(code)
    if fact is None or fact.also_known_as != device.capability:
        return None
    return Unknown(
        f"{device.capability} is what toolkits called {code.capability} at another time: whether "
        "drivers take the code under the other name was not tried"
    )


def _unpacked(compression: str | None, target: Target) -> Refused | Unknown | None:
    """Why the driver cannot decompress it; None where it can."""
    if compression is None:
        return None
    fact = next((row for row in facts.compressions() if row.name == compression), None)
    if fact is None:
        return Unknown(f"compressed in a way that is not known ({compression})")
    least, have = known_version(fact.driver_min), known_version(target.driver)
    if have is None:  # its CUDA version says nearly as much
        have = known_version(target.driver_cuda)
        least = known_version(facts.cuda_of_driver(fact.driver_min)) if fact.driver_min else None
    if have is None or least is None:
        return None
    why = f"{compression} takes driver {fact.driver_min} or newer ({fact.source})"
    if leaves_open(have, least):
        return Unknown(f"{why}; only {target.driver} is known of this one")
    return Refused(why) if have < least else None


def reads_compressed(compression: str, driver: str) -> bool:
    """Whether a driver (``580.65.06``) is known to read images that are compressed so."""
    fact = next((row for row in facts.compressions() if row.name == compression), None)
    if fact is None:
        return False
    least, have = known_version(fact.driver_min), known_version(driver)
    return least is None or (have is not None and have >= least)


def _compiled(ptx_isa: str | None, target: Target) -> Outcome:
    """What the driver's own compiler does with PTX of that version, for a device that it fits."""
    isa = known_version(ptx_isa)
    if isa is None:
        return Unknown("the version of its PTX was not read")
    newest, have = facts.toolkits()[-1], known_version(target.driver_cuda)
    needs = next((t.version for t in facts.toolkits() if Version(t.ptx_isa) >= isa), None)
    if needs is None:
        why = f"PTX {ptx_isa} takes a driver of a CUDA version after {newest.version}"
        return Refused(why) if have and have <= Version(newest.version) else Unknown(why)
    if have is not None and have < Version(needs):
        return Refused(
            f"PTX {ptx_isa} takes a driver of CUDA {needs} or newer; this one is of "
            f"{target.driver_cuda}"
        )
    return Jit(needs)


def _of_major(toolkit: str | None, target: Target) -> Refused | None:
    """Machine code of a newer CUDA major than the driver's does not start."""
    made, have = known_version(toolkit), known_version(target.driver_cuda)
    if made is None or have is None or made.major <= have.major:
        return None
    return Refused(
        f"compiled with CUDA {toolkit}: it takes a driver of CUDA {made.major}, or NVIDIA's "
        f"cuda-compat; this one is of {target.driver_cuda}"
    )


def _fact(code: Architecture) -> ArchFact | None:
    return _facts_by_number().get(code.number)


@cache
def _facts_by_number() -> dict[tuple[int, int], ArchFact]:
    rows = ((architecture(f"sm_{r.compute_capability.replace('.', '')}"), r) for r in facts.archs())
    return {code.number: row for code, row in rows if code}
