"""From what the user typed to a `Model`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sartor.errors import ModelInvalidError, ModelNotFoundError, closest
from sartor.models.choice import choices, choose
from sartor.models.demo import NAME, demo_gguf, demo_safetensors
from sartor.models.hub_reference import parse_hub_reference
from sartor.models.local import local_folder, local_gguf
from sartor.models.model import ModelFile
from sartor.models.sniff import HEAD_BYTES, seems_to_be

if TYPE_CHECKING:
    from sartor.models.model import Format, Model
    from sartor.paths import Places
    from sartor.reporter import Reporter

DEMO = "demo"
_SUFFIXES = (".gguf", ".safetensors")
_LISTED = 10_000
_GIVE = "give a GGUF file, a safetensors folder, or a hub name such as `org/name`"


def resolve(
    reference: str | None, places: Places, reporter: Reporter, form: Format | None = None
) -> Model:
    """The model that ``reference`` means: None or ``demo``, a file, a folder, or a hub name.

    What exists on this machine goes before a hub name. ``form`` is the format that the engine
    wants where there is a choice (the demo model; a repository that holds both). A model on the
    hub is looked up and not fetched: its ``path`` is None (see `hub.fetch`). Raises
    `ModelNotFoundError`, `ModelInvalidError`, and for a hub name what `hub.look_up` does.
    """
    if reference is None or reference == DEMO:
        return resolve_demo(places, reporter, form or "gguf")
    path = Path(reference).expanduser()
    try:
        if path.is_dir():
            return resolve_folder(path.absolute(), reference, form)
        if path.exists():
            return resolve_file(path.absolute(), reference)
    except OSError as error:
        raise ModelInvalidError(
            f"`{reference}` cannot be read ({error.strerror})",
            hint="check the name, the permissions and the file system",
        ) from error
    if looks_like_path(reference) or parse_hub_reference(reference) is None:
        raise not_found(reference, path)
    from sartor.models.hub import look_up

    return look_up(reference, reporter, form)


def fetched(model: Model, reporter: Reporter) -> Model:
    """``model`` with a ``path``: as it is where it has one, else fetched from the hub."""
    if model.path is not None:
        return model
    from sartor.models.hub import fetch

    return fetch(model, reporter)


def looks_like_path(reference: str) -> bool:
    """Whether ``reference`` can only be meant as a path, though nothing is there."""
    folder, slash, _ = reference.partition("/")
    return reference.startswith(("/", ".", "~")) or (bool(slash) and Path(folder).is_dir())


def resolve_demo(places: Places, reporter: Reporter, form: Format = "gguf") -> Model:
    """The demo model in the format ``form``, generated where it is not there yet."""
    if form == "gguf":
        model = local_gguf(demo_gguf(places, reporter), DEMO, NAME)
    else:
        model = local_folder(demo_safetensors(places, reporter), DEMO, NAME)
    return msgspec.structs.replace(model, demo=True)


def resolve_file(path: Path, reference: str) -> Model:
    """The model in the file at ``path``: GGUF, or safetensors with a ``config.json`` beside it."""
    if not path.is_file():
        raise ModelInvalidError(f"`{reference}` is not a regular file", hint=_GIVE)
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    is_safetensors = seems_to_be(head).name.endswith("safetensors file")
    if is_safetensors and path.with_name("config.json").exists():
        return local_folder(path.parent, reference)
    return local_gguf(path, reference)


def resolve_folder(folder: Path, reference: str, form: Format | None = None) -> Model:
    """The model in ``folder``: the GGUF file to prefer in it, or all of it as safetensors.

    Where it holds both, ``form`` decides, and without it GGUF.
    """
    files = [
        ModelFile(entry.name, entry.stat().st_size)
        for entry in folder.iterdir()
        if entry.name.endswith(_SUFFIXES)
    ]
    chosen = choose(choices(files), None)
    weights = any(file.name.endswith(".safetensors") for file in files)
    if chosen and not (weights and form == "safetensors"):
        return local_gguf(folder / chosen.files[0].name, reference)
    if not weights and not (folder / "config.json").exists():
        raise ModelNotFoundError(f"the folder `{reference}` holds no model", hint=_GIVE)
    return local_folder(folder, reference)


def not_found(reference: str, path: Path) -> ModelNotFoundError:
    """The error for a path that does not exist, with the closest names beside it."""
    parent = path.parent
    if not parent.is_dir():
        return ModelNotFoundError(
            f"there is no model `{reference}`",
            found=[f"the folder `{parent}` does not exist"],
            hint=_GIVE,
        )
    if path.is_symlink():
        return ModelNotFoundError(
            f"`{reference}` is a link to `{path.readlink()}`, which does not exist", hint=_GIVE
        )
    names = [entry.name for _, entry in zip(range(_LISTED), parent.iterdir(), strict=False)]
    near = closest(path.name, names)
    meant = " or ".join(f"`{parent / name}`" for name in near)
    return ModelNotFoundError(
        f"there is no model `{reference}`",
        found=[f"`{parent}` holds no `{path.name}`"],
        hint=f"did you mean {meant}?" if near else _GIVE,
    )
