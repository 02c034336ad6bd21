"""Models on the hub: looked up without their weights, then fetched into the hub's own cache.

HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_CACHE and HF_HUB_OFFLINE are the hub library's own business
and are honoured by it. The library is imported only when a hub name is asked for.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from sartor.errors import (
    FolderNotWritableError,
    HubUnreachableError,
    ModelInvalidError,
    ModelNotFoundError,
    did_you_mean,
)
from sartor.models.choice import choices, choose, missing_parts, offered
from sartor.models.hub_errors import explain_hub_errors, no_repository
from sartor.models.hub_files import Cache, fetch_files, hub_cache, is_whole
from sartor.models.hub_header import hub_gguf_headers
from sartor.models.hub_reference import HubReference, parse_hub_reference
from sartor.models.local import folder_model, gguf_model, local_folder, local_gguf
from sartor.models.model import Format, Model, ModelFile
from sartor.models.safetensors import FolderReading, read_config
from sartor.paths import write_atomically

if TYPE_CHECKING:
    from sartor.models.choice import Choice
    from sartor.reporter import Reporter

FOLDER_SUFFIXES = {".safetensors", ".json", ".model", ".txt", ".jinja", ".tiktoken"}
_CONFIG = "config.json"


class Listing(msgspec.Struct, frozen=True):
    """The files of a repository at one commit, and what the hub read out of them."""

    repository: str
    revision: str
    files: list[ModelFile]
    architecture: str | None = None
    context_length: int | None = None


class Selection(msgspec.Struct, frozen=True):
    """What is to be fetched of a repository."""

    format: Format
    files: list[ModelFile]
    quantization: str | None = None


def look_up(reference: str, reporter: Reporter, form: Format | None = None) -> Model:
    """The model that ``reference`` names on the hub, its weights not fetched.

    ``form`` decides where a repository holds both formats (GGUF without it). ``path`` is None,
    except where the hub cannot be asked and the cache has the model. Raises `ModelNotFoundError`,
    `ModelGatedError`, `ModelInvalidError` (nothing in it that can be served),
    `HubUnreachableError`.
    """
    wanted = parse_hub_reference(reference)
    if wanted is None:
        raise no_repository(reference)
    try:
        with explain_hub_errors(wanted.repository):
            listing = _ask(wanted.repository)
            selection = select(listing, wanted, form)
            return _described(listing, selection, reference, reporter)
    except HubUnreachableError:
        cached = look_up_cached(wanted, reference, form)
        if cached is None:
            raise
        reporter.note(f"the hub was not reached; `{wanted.repository}` is taken from its cache")
        return cached


def fetch(model: Model, reporter: Reporter) -> Model:
    """``model`` with its files in the hub's cache, and all that they say of it.

    Takes up a download that broke off. A model that has a ``path`` is returned as it is. Raises
    what `look_up` does, and `DiskFullError`.
    """
    if model.path is not None or model.repository is None or model.revision is None:
        return model
    cache = hub_cache(model.repository)
    with explain_hub_errors(model.repository):
        paths = fetch_files(cache, model.revision, model.files, reporter)
        _remember(cache, model.revision)
    snapshot = cache.snapshot(model.revision)
    first = paths[0] if model.format == "gguf" else snapshot
    local = _local(first, model.reference, model.repository)
    return msgspec.structs.replace(
        local, files=model.files, repository=model.repository, revision=model.revision
    )


def fetch_some(model: Model, files: list[ModelFile], reporter: Reporter) -> Model:
    """``model`` with a ``path`` where ``files`` alone of it are; raises what `fetch` does."""
    if model.repository is None or model.revision is None:
        return model
    cache = hub_cache(model.repository)
    with explain_hub_errors(model.repository):
        fetch_files(cache, model.revision, files, reporter)
    return msgspec.structs.replace(model, path=str(cache.snapshot(model.revision)))


def _remember(cache: Cache, revision: str) -> None:
    """Note ``revision`` as that of ``main``, for offline use; a cache may be read-only."""
    if not is_whole(cache.reference, None) or cache.reference.read_text("utf-8") != revision:
        with contextlib.suppress(FolderNotWritableError):
            write_atomically(cache.reference, revision)


def _local(path: Path, reference: str, name: str) -> Model:
    if path.is_dir():
        return local_folder(path, reference, name)
    return local_gguf(path, reference, name)


def _ask(repository: str) -> Listing:
    from huggingface_hub import HfApi

    if "HF_HUB_VERBOSITY" not in os.environ:
        # its warnings go to stderr; what goes wrong is in its exceptions
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    api = HfApi()
    info = api.model_info(repository, files_metadata=True)
    if info.gated:
        api.auth_check(repository)
    files = [ModelFile(entry.rfilename, entry.size) for entry in info.siblings or []]
    read: dict[str, object] = info.gguf or {}
    architecture, context = read.get("architecture"), read.get("context_length")
    return Listing(
        repository,
        info.sha or "main",
        files,
        architecture if isinstance(architecture, str) else None,
        context if isinstance(context, int) else None,
    )


def select(listing: Listing, wanted: HubReference, form: Format | None) -> Selection:
    """The files of ``listing`` that are ``wanted``; pure. Raises as `look_up` does."""
    among = choices(listing.files)
    folder = folder_files(listing.files)
    if wanted.file is not None:
        return _gguf_selection(listing, _named(among, wanted))
    if wanted.tag is not None:
        return _gguf_selection(listing, _tagged(among, wanted))
    if folder and (form == "safetensors" or not among):
        return Selection("safetensors", folder)
    chosen = choose(among, None)
    if chosen is None:
        raise _nothing_served(listing)
    return _gguf_selection(listing, chosen)


def folder_files(files: list[ModelFile]) -> list[ModelFile]:
    """The files that make up a safetensors folder; empty where ``files`` hold none.

    Folders below (other formats, original checkpoints) are left out, and so is a second copy of
    the weights in one piece.
    """
    top = [file for file in files if PurePosixPath(file.name).suffix in FOLDER_SUFFIXES]
    top = [file for file in top if "/" not in file.name]
    names = {file.name for file in top}
    if any(name.startswith("model") and name.endswith(".safetensors") for name in names):
        top = [file for file in top if not file.name.startswith("consolidated")]
    weights = any(file.name.endswith(".safetensors") for file in top)
    return top if weights and _CONFIG in names else []


def _named(among: list[Choice], wanted: HubReference) -> Choice:
    for choice in among:
        if any(file.name == wanted.file for file in choice.files):
            return choice
    names = [file.name for choice in among for file in choice.files]
    raise ModelNotFoundError(
        f"`{wanted.repository}` has no file `{wanted.file}`",
        found=[f"there is `{name}`" for name in names[:20]],
        hint=did_you_mean(wanted.file or "", names),
    )


def _tagged(among: list[Choice], wanted: HubReference) -> Choice:
    chosen = choose(among, wanted.tag)
    if chosen is not None:
        return chosen
    quants = offered(among)
    there = ", ".join(f"`{quant}`" for quant in quants)
    raise ModelNotFoundError(
        f"`{wanted.repository}` has no GGUF file of quantization `{wanted.tag}`",
        found=[f"there are {there}" if quants else "there is no GGUF file in it at all"],
        hint=f"ask for one of those, for example `{wanted.repository}:{quants[0]}`"
        if quants
        else f"ask for `{wanted.repository}` without a quantization",
    )


def _gguf_selection(listing: Listing, choice: Choice) -> Selection:
    missing = missing_parts(choice)
    if missing:
        raise ModelInvalidError(
            f"`{listing.repository}` does not hold all parts of a split GGUF file",
            found=[f"`{name}` is missing" for name in missing[:5]],
            hint="choose another quantization, or another repository of the same model",
        )
    return Selection("gguf", choice.files, choice.quant)


def _nothing_served(listing: Listing) -> ModelInvalidError:
    kinds = sorted({PurePosixPath(file.name).suffix or file.name for file in listing.files})
    return ModelInvalidError(
        f"`{listing.repository}` holds neither a GGUF file nor a safetensors folder",
        found=[f"it holds files of the kinds {', '.join(kinds[:20])}"] if kinds else [],
        hint="look for a repository with a GGUF or safetensors conversion of the model",
    )


def _described(listing: Listing, selection: Selection, reference: str, reporter: Reporter) -> Model:
    if selection.format == "safetensors":
        return _described_folder(listing, selection, reference, reporter)
    sizes = [file.size_bytes for file in selection.files if file.size_bytes is not None]
    size = sum(sizes) if len(sizes) == len(selection.files) else None
    model = Model(
        reference=reference,
        format="gguf",
        name=listing.repository,
        size_bytes=size,
        architecture=listing.architecture,
        context_length=listing.context_length,
        quantization=selection.quantization,
        files=selection.files,
        repository=listing.repository,
        revision=listing.revision,
    )
    cache = hub_cache(listing.repository)
    headers = hub_gguf_headers(cache, listing.revision, selection.files)
    if headers is None:
        return model
    read = gguf_model(
        headers,
        reference=reference,
        name=listing.repository,
        path=None,
        size_bytes=size,
        quantization=selection.quantization,
        files=selection.files,
    )
    return msgspec.structs.replace(read, repository=listing.repository, revision=listing.revision)


def _described_folder(
    listing: Listing, selection: Selection, reference: str, reporter: Reporter
) -> Model:
    """As `_described`, with what ``config.json`` says, which is small and fetched for it."""
    config = next(file for file in selection.files if file.name == _CONFIG)
    cache = hub_cache(listing.repository)
    paths = fetch_files(cache, listing.revision, [config], reporter)
    weights = {
        file.name: file.size_bytes or 0
        for file in selection.files
        if file.name.endswith(".safetensors")
    }
    reading = FolderReading(read_config(paths[0]), weights, {})
    model = folder_model(reading, reference=reference, name=listing.repository, path=None)
    return msgspec.structs.replace(
        model,
        files=selection.files,
        repository=listing.repository,
        revision=listing.revision,
    )


def look_up_cached(wanted: HubReference, reference: str, form: Format | None) -> Model | None:
    """The model in the hub's cache as it was last fetched; None where it is not whole there."""
    cache = hub_cache(wanted.repository)
    try:
        revision = cache.reference.read_text("utf-8").strip()
        snapshot = cache.snapshot(revision)
        files = [
            ModelFile(path.relative_to(snapshot).as_posix(), path.stat().st_size)
            for path in snapshot.rglob("*")
            if path.is_file()
        ]
        listing = Listing(wanted.repository, revision, files)
        selection = select(listing, wanted, form)
        path = snapshot / selection.files[0].name if selection.format == "gguf" else snapshot
        model = _local(path, reference, wanted.repository)
    except (OSError, ModelInvalidError, ModelNotFoundError):
        return None
    return msgspec.structs.replace(
        model, files=selection.files, repository=wanted.repository, revision=revision
    )
