"""Bundles for tests: small members, their parts, and the manifest that says so."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from locks import locking, package
from sartor.bundle.collect import Collected, Piece
from sartor.bundle.make import Count, write_parts
from sartor.bundle.model import Member
from sartor.plan.model import Python, Stack
from sartor.reporter import Silent

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Row = dict[str, Any]


def pieces_of(files: Mapping[str, bytes]) -> list[Piece]:
    return [
        Piece(
            Member(
                path=path, kind="wheel", size=len(data), sha256=hashlib.sha256(data).hexdigest()
            ),
            data,
        )
        for path, data in files.items()
    ]


def manifest_of(files: Mapping[str, bytes], out: Path, split: int) -> Row:
    """Write the parts, and give the manifest as the installer reads it."""
    pieces = pieces_of(files)
    parts = write_parts(pieces, out, split, Count(Silent(), 1))
    (out / "install.py").write_bytes(b"#")
    digest = hashlib.sha256(b"#").hexdigest()
    return {
        "split": split,
        "members": [
            {
                "path": p.member.path,
                "size": p.member.size,
                "sha256": p.member.sha256,
                "kind": p.member.kind,
            }
            for p in pieces
        ],
        "parts": [{"name": p.name, "size": p.size, "sha256": p.sha256} for p in parts],
        "left_out": [],
        "installer": {"size": 1, "sha256": digest},
    }


STACK = Stack(
    engine="llama.cpp",
    line="published",
    label="llama.cpp",
    strategy="release",
    version="1.0",
    accelerator="cpu",
    launcher="xllamacpp",
    requirements=["xllamacpp==1.0"],
    modules=["xllamacpp"],
    python=Python(None, "3.12"),
    architecture="x86_64",
    disk_mb=100,
)


def collected(files: Mapping[str, bytes], **more: Any) -> Collected:
    settings: Row = {
        "locking": locking(package("xllamacpp"), engine="llama.cpp", version="1.0"),
        "stack": STACK,
        "pieces": pieces_of(files),
        "left_out": [],
        "model": None,
        "notes": [],
    }
    return Collected(**{**settings, **more})
