"""What a planner must answer, as files: `cases/plan/*.toml`, and what each answer rests on.

A case is a host, a request and a day, with what is right for them. A proof is what another tool
says (uv, readelf, cuobjdump, ptxas) or what stands in a published package. README.md beside the
files says how they are written.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec

FOLDER = Path(__file__).parent / "cases" / "plan"

Status = Literal["ready", "needs-source", "impossible"]
Strategy = Literal["release", "index", "image", "ahead-of-time", "source", "engine"]
Rule = Literal[
    "abi",
    "architecture",
    "compiler",
    "cpu-isa",
    "cuda-major",
    "device-code",
    "disk",
    "driver",
    "dtype",
    "glibc",
    "gpu",
    "gpu-driver-range",
    "licence",
    "memory",
    "model-format",
    "platform-tag",
    "provenance",
    "ptx",
    "python",
    "quantisation",
    "resolution",
    "system-libraries",
    "torch-pin",
]
Day = Annotated[str, msgspec.Meta(pattern=r"^20\d\d-[01]\d-[0-3]\d$")]
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
Sentence = Annotated[str, msgspec.Meta(min_length=20, pattern=r"[.]$")]


class Wheel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A release's file for a machine: ``torch==2.10.0``, a wheel or else its source."""

    release: str
    python: str = "3.12"
    machine: Literal["x86_64", "aarch64"] = "x86_64"


class Resolve(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One question for uv's resolver. ``source``: it may build a source package for its metadata.

    ``as_of`` is a day, whole, in UTC.
    """

    require: tuple[str, ...]
    as_of: Day
    python: str = "3.12"
    machine: Literal["x86_64", "aarch64"] = "x86_64"
    glibc: str = "2.39"
    dependencies: bool = True
    source: bool = False


class Proof(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What another tool says. Exactly one of ``resolve``, ``metadata`` and ``member`` is there.

    ``command`` reads ``member`` of a wheel as ``{file}``. ``lines`` are whole lines of the output,
    ``expect`` parts of it, ``regex`` found in it, ``absent`` nowhere in it. ``solvable`` goes with
    ``resolve``: whether the resolver finds a set. ``heavy``: hundreds of megabytes are fetched.
    """

    says: Sentence
    resolve: Resolve | None = None
    metadata: Wheel | None = None
    wheel: Wheel | None = None
    member: str | None = None
    command: str | None = None
    solvable: bool = True
    heavy: bool = False
    lines: tuple[str, ...] = ()
    expect: tuple[str, ...] = ()
    regex: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        kinds = [self.resolve, self.metadata, self.member]
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError("one of `resolve`, `metadata` and `member` is needed")
        if (self.member is None) != (self.wheel is None) or (self.member is None) != (
            self.command is None
        ):
            raise ValueError("`member`, `wheel` and `command` go together")
        if self.command is not None and "{file}" not in self.command:
            raise ValueError("`command` reads no `{file}`")
        if not (self.lines or self.expect or self.regex or self.absent):
            raise ValueError("it expects nothing")


class RejectedAs(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A candidate that must be in the trace, and the rule that turned it down."""

    engine: str
    rule: Rule | tuple[Rule, ...]
    version: str | None = None

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Those of which one must have turned it down."""
        return (self.rule,) if isinstance(self.rule, str) else self.rule


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is asked for. ``model`` is a name in `data/shapes`, or ``gguf``: a small GGUF file."""

    engines: tuple[str, ...] = ()
    model: str | None = None
    python: str | None = None
    pins: tuple[str, ...] = ()
    allow: tuple[Literal["source", "nightly", "third-party", "image"], ...] = ()
    objective: str | None = None


class Expect(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is right. Fields that are not given are open.

    ``extras`` are those of the engine's project that its runtime needs, for the resolver.
    ``newest``: the resolver alone, asked for no version, comes to the same set. ``versions`` are
    projects of the stack, ``without`` projects that are not in it. ``cuda`` is that of torch.
    ``lost``, ``compiled`` (by the driver at first use) and ``native`` are features. ``served`` and
    ``unserved`` are names of GPUs. ``mentions`` are words that stand somewhere in the document.
    """

    status: Status | tuple[Status, ...]
    engine: str | None = None
    strategy: Strategy | None = None
    version: str | None = None
    python: str | None = None
    extras: tuple[str, ...] = ()
    newest: bool = False
    versions: dict[str, str] = {}
    without: tuple[str, ...] = ()
    cuda: str | None = None
    rejected: tuple[RejectedAs, ...] = ()
    lost: tuple[str, ...] = ()
    compiled: tuple[str, ...] = ()
    native: tuple[str, ...] = ()
    served: tuple[str, ...] = ()
    unserved: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()
    alternatives: tuple[Strategy, ...] = ()
    system_packages: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()

    @property
    def statuses(self) -> tuple[Status, ...]:
        """Those that are right; more than one where it depends on which indexes answer."""
        return (self.status,) if isinstance(self.status, str) else self.status


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One question and its answer. ``open`` says what of it is policy, or is not settled."""

    name: Name
    why: Sentence
    host: str
    as_of: Day
    expect: Expect
    proof: tuple[Name, ...]
    request: Asked = Asked()
    open: Sentence | None = None

    @property
    def stated(self) -> dict[str, str]:
        """What the host's line states by name: ``{"glibc": "2.39", …}``."""
        pairs = (part.strip().partition("=") for part in self.host.split(","))
        return {key.strip(): value.strip() for key, sign, value in pairs if sign}

    def question(self, *requirements: str) -> Resolve:
        """What uv is asked for this host, day and request."""
        machine: Literal["x86_64", "aarch64"] = (
            "aarch64" if self.stated.get("arch") == "aarch64" else "x86_64"
        )
        return Resolve(
            require=(*requirements, *self.request.pins),
            as_of=self.as_of,
            python=self.request.python or self.stated.get("python", "3.12"),
            machine=machine,
            glibc=self.stated.get("glibc", "2.39"),
            source="source" in self.request.allow,
        )


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One file: a theme. Its proofs may be used by the cases of all files."""

    theme: Sentence
    proof: dict[Name, Proof] = {}
    case: tuple[Case, ...] = ()


def files() -> dict[str, File]:
    """Every file by its name without the ending. Raises `ValueError` that names a faulty one."""
    found = {}
    for path in sorted(FOLDER.glob("*.toml")):
        try:
            found[path.stem] = msgspec.convert(tomllib.loads(path.read_text("utf-8")), File)
        except (ValueError, msgspec.ValidationError) as error:
            raise ValueError(f"{path.name}: {error}") from error
    return found


def cases() -> list[Case]:
    """All of them, in the order of the files."""
    return [case for file in files().values() for case in file.case]


def proofs() -> dict[str, Proof]:
    """All of them by name. Raises `ValueError` where two have one name."""
    found: dict[str, Proof] = {}
    for stem, file in files().items():
        for name, proof in file.proof.items():
            if name in found:
                raise ValueError(f"{stem}.toml: there are two proofs named `{name}`")
            found[name] = proof
    return found
