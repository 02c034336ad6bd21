"""The values of a bundle: what is in it, in which parts, for which machine, what was left out."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from sartor.lock.model import HostClass, Sha256
from sartor.plan.model import Stack

Kind = Literal["sartor", "lock", "wheel", "supply", "model"]
Bytes = Annotated[int, msgspec.Meta(ge=0)]


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a bundle, at ``path`` below its folder.

    ``sartor``: Sartor itself and what it needs to run; ``wheel``: of the locked stack; ``supply``:
    a wheel that a missing system library may be taken from. ``project`` and ``version`` are those
    of wheels. ``source`` is the sha256 of the locked wheel that a slimmed one was made of; None: it
    is the very file.
    """

    path: str
    kind: Kind
    size: Bytes
    sha256: Sha256
    project: str | None = None
    version: str | None = None
    source: Sha256 | None = None


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch of the stream of all members in their order; the parts follow each other."""

    name: str
    size: Bytes
    sha256: Sha256


class Installer(msgspec.Struct, frozen=True, kw_only=True):
    """The installer that goes with the bundle."""

    name: str
    size: Bytes
    sha256: Sha256


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """A locked package that is not carried: the machine has ``there`` in place of ``version``."""

    name: str
    version: str
    there: str
    why: str


class BundledModel(msgspec.Struct, frozen=True, kw_only=True):
    """The model in a bundle; ``path`` is what an engine is given, below the bundle's folder.

    Without ``weights`` its configuration and tokenizer alone are there.
    """

    name: str
    reference: str
    path: str
    weights: bool
    revision: str | None = None


class Bundle(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="sartor.bundle/1"):
    """``bundle.json``. ``digest`` is the sha256 of all else in it, as JSON in one form.

    ``members`` are in the order of the stream. ``parts`` is empty where they lie as plain files.
    ``stack`` names no interpreter: that is the target's. ``notes`` say what was accepted, and why.
    """

    sartor: str
    engine: str
    version: str
    host: HostClass
    stack: Stack
    members: list[Member]
    installer: Installer
    digest: Sha256
    split: int | None = None
    parts: list[Part] = []
    left_out: list[LeftOut] = []
    model: BundledModel | None = None
    notes: list[str] = []


class BundleState(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="sartor.bundle-state/1"
):
    """What `sartor bundle` prints: what was done, with what.

    ``written`` and ``kept`` count files of the bundle's folder (parts, or members), ``bytes`` those
    of all members. ``environment`` is where the stack was installed, ``reused``: it was there.
    """

    action: Literal["made", "checked", "installed"]
    folders: list[str]
    engine: str
    version: str
    host: HostClass
    digest: Sha256
    members: int
    parts: int
    bytes: Bytes
    written: int = 0
    kept: int = 0
    left_out: list[LeftOut] = []
    notes: list[str] = []
    environment: str | None = None
    reused: bool = False
    grade: str | None = None
