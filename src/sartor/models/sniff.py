"""What a file that is not the expected model seems to be, and how to say so.

Shared by the readers of both formats: one place turns a fault into a `ModelInvalidError` that
names the file, the byte and the way out.
"""

from __future__ import annotations

import msgspec

from sartor.errors import ModelInvalidError
from sartor.paths import human_bytes

HEAD_BYTES = 512

FETCH_AGAIN = "the download was interrupted, or the copy is damaged: fetch the file again"


class Kind(msgspec.Struct, frozen=True):
    """A recognised kind of file: its name in a sentence, and what to do with one."""

    name: str
    hint: str


_SAFETENSORS = Kind(
    "a safetensors file",
    "name the folder that holds it together with its `config.json`, or fetch a GGUF conversion",
)
_GGUF = Kind("a GGUF file", "give the file itself as the model")
_LFS = Kind(
    "a Git LFS pointer (a few lines of text in place of the file)",
    "run `git lfs pull` in the clone, or fetch the model by its hub name",
)
_HTML = Kind(
    "a web page (HTML)",
    "a login or an error page was saved under the model's name: fetch the model by its hub name",
)
_ZIP = Kind(
    "a zip archive (PyTorch checkpoints are)",
    "only GGUF and safetensors are served: fetch the model in one of them",
)
_PICKLE = Kind(
    "a Python pickle",
    "pickles can run code and are never opened: fetch the model as GGUF or safetensors",
)
_ZEROS = Kind("nothing but zero bytes", FETCH_AGAIN)
_OLD_GGML = Kind(
    "a GGML file from before GGUF",
    "no current engine reads it: fetch a GGUF conversion of the model",
)
_GZIP = Kind("compressed (gzip)", "unpack it first")
_ZSTD = Kind("compressed (zstd)", "unpack it first")
_ELF = Kind("a program or library (ELF)", "give a model file instead")
_JSON = Kind("JSON text", "give the folder that holds it, or the weights themselves")
_TEXT = Kind("plain text", "give a model file instead")
_OTHER = Kind("of a kind that is not recognised", "only GGUF and safetensors are served")

_MAGICS: tuple[tuple[bytes, Kind], ...] = (
    (b"GGUF", _GGUF),
    (b"version https://git-lfs", _LFS),
    (b"PK\x03\x04", _ZIP),
    (b"\x80\x02", _PICKLE),
    (b"\x80\x03", _PICKLE),
    (b"\x80\x04", _PICKLE),
    (b"\x80\x05", _PICKLE),
    (b"lmgg", _OLD_GGML),
    (b"tjgg", _OLD_GGML),
    (b"fmgg", _OLD_GGML),
    (b"\x1f\x8b", _GZIP),
    (b"\x28\xb5\x2f\xfd", _ZSTD),
    (b"\x7fELF", _ELF),
)


def seems_to_be(head: bytes) -> Kind:
    """The kind of file whose first bytes (up to `HEAD_BYTES`) are ``head``."""
    for magic, kind in _MAGICS:
        if head.startswith(magic):
            return kind
    if _is_safetensors(head):
        return _SAFETENSORS
    if head and not head.strip(b"\0"):
        return _ZEROS
    return _textual(head)


def _is_safetensors(head: bytes) -> bool:
    length = int.from_bytes(head[:8], "little")
    return head[8:9] == b"{" and 2 <= length < 1 << 32


def _textual(head: bytes) -> Kind:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head")):
        return _HTML
    if any(byte < 9 or 14 <= byte < 27 for byte in head) or not head:
        return _OTHER
    return _JSON if start.startswith((b"{", b"[")) else _TEXT


def invalid(file: str, offset: int, reason: str, hint: str = FETCH_AGAIN) -> ModelInvalidError:
    """The error for ``file``, in which something is wrong at byte ``offset``."""
    return ModelInvalidError(
        f"`{file}` cannot be served: {reason}", found=[f"seen at byte {offset}"], hint=hint
    )


def truncated(file: str, size: int, demanded: int) -> ModelInvalidError:
    """The error for ``file``, of ``size`` bytes, whose header demands ``demanded``."""
    return invalid(
        file,
        size,
        f"it is truncated: it has {size} bytes ({human_bytes(size)}) and its header demands "
        f"{demanded} ({human_bytes(demanded)})",
    )


def wrong_format(file: str, head: bytes, wanted: str) -> ModelInvalidError:
    """The error for a ``file`` that was to be ``wanted`` and begins with ``head``."""
    if not head:
        return invalid(file, 0, "it is empty")
    kind = seems_to_be(head)
    return invalid(file, 0, f"it is not {wanted}; it seems to be {kind.name}", kind.hint)
