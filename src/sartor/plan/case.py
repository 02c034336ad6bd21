"""What the rules look at: one offer on one host, and what is known of it so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from sartor.artifact.model import Package
from sartor.engines.facts import EngineFacts, LineFact
from sartor.facts import IndexFact
from sartor.host.model import Host
from sartor.index.wheels import IndexFile
from sartor.models.model import Model
from sartor.plan.known import IndexState, Machine, Parts
from sartor.plan.model import Candidate, Decision, Request, Stack
from sartor.verdict.model import Target

if TYPE_CHECKING:
    from sartor.plan.outcome import Strategy

TORCH = "torch"


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One release of a line, as its index lists it.

    ``files`` are all of its files, ``file`` is the one that the machine would get (None: none
    fits, or it is a source package). ``torch_index`` is the maker's index from which its torch
    comes, in place of the user's own. ``state`` is the index's; ``version`` is None where that did
    not answer. ``machine`` has the Python that its environment would have.
    """

    engine: EngineFacts
    line: LineFact
    index: str
    state: IndexState
    machine: Machine
    why: str | None = None
    version: str | None = None
    files: tuple[IndexFile, ...] = ()
    file: IndexFile | None = None
    is_named: bool = False
    torch_index: IndexFact | None = None


class Companion(msgspec.Struct, frozen=True, kw_only=True):
    """A package that a release names in its metadata and that decides whether it runs.

    ``file`` is the wheel that the machine would get, ``package`` its metadata; ``alike`` are those
    of the same release for the same platforms and other Pythons. ``cuda`` is what it
    was built with (None: not known, or it needs none of CUDA's libraries). ``why`` says why there
    is no file.
    """

    project: str
    requirement: str
    version: str | None = None
    file: IndexFile | None = None
    alike: tuple[IndexFile, ...] = ()
    package: Package | None = None
    cuda: str | None = None
    index: str = "default"
    why: str | None = None


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One offer in front of the rules.

    ``package`` is its metadata (``unread``: why there is none), ``companions`` what that names,
    ``code`` the parts of the wheels whose machine code decides, by project (None: never read); each
    is there once it was asked for. ``read_of`` are those of which another Python's wheel of the
    same release was read, and its name. ``targets`` are the kinds of GPU. ``built`` is the stack of
    its environment, where that is there: it needs neither an index nor room any more.
    """

    host: Host
    request: Request
    model: Model | None
    offer: Offer
    targets: tuple[Target, ...] = ()
    package: Package | None = None
    unread: str | None = None
    companions: dict[str, Companion] = {}
    code: dict[str, Parts | None] = {}
    read_of: dict[str, str] = {}
    built: Stack | None = None

    @property
    def engine(self) -> EngineFacts:
        """The facts of its engine."""
        return self.offer.engine

    @property
    def line(self) -> LineFact:
        """The facts of its line."""
        return self.offer.line

    @property
    def machine(self) -> Machine:
        """What its wheels are chosen for."""
        return self.offer.machine

    @property
    def on_cuda(self) -> bool:
        """Whether it runs on NVIDIA GPUs."""
        return self.line.accelerator == "cuda"

    @property
    def torch(self) -> Companion | None:
        """The torch that it pins."""
        return self.companions.get(TORCH)

    @property
    def cuda(self) -> str | None:
        """The CUDA version that it was built with, by its torch or as declared."""
        if self.torch is not None and self.torch.cuda is not None:
            return self.torch.cuda
        return self.line.declared.cuda if self.line.declared else None

    @property
    def declared(self) -> str:
        """The source of the line's declared facts."""
        return f"declared: {self.line.source} ({self.line.checked_on})"

    @property
    def strategy(self) -> Strategy:
        """The way to it."""
        if self.line.how == "source":
            return "source"
        return "release" if self.offer.torch_index is None else "index"

    @property
    def candidate(self) -> Candidate:
        """It, as the trace names it."""
        offer, version = self.offer, self.offer.version
        label = self.line.label.replace("{version}", version or "of unknown version")
        if offer.torch_index is not None:
            label += f", with torch from {offer.torch_index.id}"
        return Candidate(
            engine=self.engine.name,
            line=self.line.id,
            label=label,
            strategy=self.strategy,
            version=version,
            index=offer.torch_index.id if offer.torch_index else offer.index,
            torch=self.torch.version if self.torch else None,
            cuda=self.cuda,
        )


Rule = Callable[[Case], Decision | None]
"""A rule returns None where it has nothing to say about a candidate of that kind."""
