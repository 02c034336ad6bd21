"""`Evidence`: what a package's bytes say, whatever GPU they will meet.

Every value that was not read is None (or empty) *and* has an entry in ``not_read``. Sizes are in
bytes, offsets count from the beginning of the library. Architectures are written as the toolkit
writes them: ``sm_90a`` for machine code, ``compute_80`` for PTX, ``lto_90`` for LTO-IR.
"""

from __future__ import annotations

from typing import Literal

import msgspec

ImageKind = Literal["cubin", "ptx", "ltoir", "unknown"]
TargetKind = Literal["wheel", "library", "cubin", "fatbin", "ptx", "environment", "image", "zip"]
TorchAbi = Literal["stable", "cxx11", "pre-cxx11", "c"]


class NotRead(msgspec.Struct, frozen=True):
    """One thing that was not read: where (a member, a library), from which offset, and why."""

    path: str
    why: str
    offset: int | None = None


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """Device code of one kind, for one architecture, made in one way: so many images of it.

    ``bytes`` is what they take in the file, ``plain_bytes`` when decompressed. ``ptx_isa`` is the
    ``.version`` of PTX texts. ``options`` are the ptxas options that PTX entries carry.
    ``compression`` is ``lz4``, ``zstd``, None for none, or ``unknown``.
    """

    kind: ImageKind
    arch: str
    count: int
    bytes: int
    plain_bytes: int
    ptx_isa: str | None = None
    compression: str | None = None
    options: str | None = None


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """Translation units, that is containers, that hold the same images.

    ``images`` are indices into the library's images. ``kernels`` maps a kernel's mangled name to
    those of the images in ``kernels_read`` that hold it (None: no names were read); a unit whose
    names were read has ``count`` 1 and the ``offset`` of its container. ``bytes`` is what all of
    them take in the file. ``relocatable``: code to be linked (``nvcc -rdc=true``), which is not
    loaded as it stands. ``scattered``: found among other data; the library itself chooses which of
    these it loads. ``held``: the architectures that a slimmed one held before, where that is known;
    the ``kernels`` of one that was emptied are then those that it had, which no image holds.
    """

    images: list[int]
    count: int = 1
    bytes: int = 0
    offset: int | None = None
    kernels: dict[str, list[int]] | None = None
    kernels_read: list[int] = []
    relocatable: bool = False
    scattered: bool = False
    held: list[str] | msgspec.UnsetType = msgspec.UNSET


class SlimmedFrom(msgspec.Struct, frozen=True, kw_only=True):
    """The GPUs that a library was slimmed to, and what brings the rest back.

    ``original`` is in words: the wheel that it was made of, or what undoes it.
    """

    gpus: list[str]
    original: str


class Library(msgspec.Struct, frozen=True, kw_only=True):
    """One shared library, or one file of device code.

    ``glibc``, ``glibcxx`` and ``cxxabi`` are the highest symbol versions that it needs.
    ``python`` is the tag of the interpreter it was built for (``cp312``), ``abi3``, or None.
    ``cuda_major`` is what its needs name (``libcudart.so.13``), else what its device code was
    compiled with (``toolkits``: the releases that ptxas noted). ``torch_symbols`` are the mangled
    names that it wants of PyTorch's libraries. ``compilers`` are those that it starts, or calls,
    at run time (``nvrtc``, ``nvcc``). ``other_device_code`` names sections of other makers' code.
    ``slimmed`` is there where it is written down that the library was slimmed.
    """

    path: str
    size: int
    kind: Literal["elf", "cubin", "fatbin", "ptx"] = "elf"
    machine: str | None = None
    soname: str | None = None
    needed: list[str] = []
    rpath: str | None = None
    runpath: str | None = None
    glibc: str | None = None
    glibcxx: str | None = None
    cxxabi: str | None = None
    python: str | None = None
    cuda_major: int | None = None
    toolkits: list[str] = []
    torch_abi: TorchAbi | None = None
    torch_symbols: list[str] = []
    compilers: list[str] = []
    other_device_code: list[str] = []
    images: list[Image] = []
    units: list[Unit] = []
    slimmed: SlimmedFrom | msgspec.UnsetType = msgspec.UNSET
    not_read: list[NotRead] = []


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """One distribution: what its metadata declares. ``path`` is its ``.dist-info`` folder.

    ``tags`` come from its ``WHEEL`` file, ``file_tags`` from the wheel's name. ``requires`` are
    the ``Requires-Dist`` lines. ``libraries`` are the paths of the libraries that are its own.
    ``compilers`` are what its Python code compiles with at run time (``triton``, ``nvcc``);
    ``fact_files`` are the globs of `facts/packages` that files of its ``RECORD`` match.
    """

    name: str
    version: str
    path: str
    tags: list[str] = []
    file_tags: list[str] = []
    requires: list[str] = []
    requires_python: str | None = None
    libraries: list[str] = []
    compilers: list[str] = []
    fact_files: list[str] = []


class Evidence(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="sartor.evidence/1"
):
    """What was read of one target. ``sha256`` and ``size`` are the file's; None for a folder.

    Of an image that is a folder, or in a registry, they are its manifest's digest and its layers'
    size, as they are stored. ``platform`` is the image's (``linux/amd64``).
    """

    target: str
    kind: TargetKind
    size: int | None = None
    sha256: str | None = None
    platform: str | msgspec.UnsetType = msgspec.UNSET
    packages: list[Package] = []
    libraries: list[Library] = []
    not_read: list[NotRead] = []
