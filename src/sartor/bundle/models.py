"""The files of a model that go into a bundle."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sartor.bundle.model import BundledModel
from sartor.errors import ModelInvalidError
from sartor.models.configured import configuration_in
from sartor.models.hub import FOLDER_SUFFIXES, fetch, fetch_some
from sartor.models.local import split_parts
from sartor.models.resolve import resolve

if TYPE_CHECKING:
    from sartor.models.model import Format
    from sartor.paths import Places
    from sartor.reporter import Reporter

WEIGHTS = (".safetensors", ".gguf", ".bin", ".pt")


class ModelFiles(msgspec.Struct, frozen=True):
    """A model, and its files by their path in the bundle."""

    model: BundledModel
    files: dict[str, Path]


def model_files(
    reference: str, form: Format, places: Places, reporter: Reporter, *, weights: bool
) -> ModelFiles:
    """The files of the model that ``reference`` means, fetched where they are on the hub.

    ``form`` is what the engine takes where there is a choice. Without ``weights`` a folder's
    configuration and tokenizer alone. Raises the errors of `resolve` and `fetch`.
    """
    given = configuration_in(reference)
    if given is not None and not weights:
        return _folder(given.parent, given.parent.name, reference, None, weights=False)
    model = resolve(reference, places, reporter, form)
    if model.format == "gguf" and not weights:
        raise ModelInvalidError(
            f"`{reference}` is one GGUF file, which has no configuration apart from its weights",
            hint="take the whole model: `--model`",
        )
    if model.path is None:
        small = [f for f in model.files if not f.name.endswith(WEIGHTS)]
        model = fetch(model, reporter) if weights else fetch_some(model, small, reporter)
    path = Path(str(model.path))
    if path.is_dir():
        return _folder(path, model.name, reference, model.revision, weights=weights)
    name = step(model.name)
    files = {f"model/{name}/{part.name}": part for part in split_parts(path)}
    found = BundledModel(
        name=model.name,
        reference=reference,
        path=f"model/{name}/{path.name}",
        weights=True,
        revision=model.revision,
    )
    return ModelFiles(found, files)


def _folder(
    folder: Path, name: str, reference: str, revision: str | None, *, weights: bool
) -> ModelFiles:
    """Of a folder what an engine reads; folders below it are other formats."""
    below = f"model/{step(name)}"
    files = {
        f"{below}/{path.name}": path
        for path in sorted(folder.iterdir())
        if path.is_file()
        and path.suffix in FOLDER_SUFFIXES
        and (weights or not path.name.endswith(WEIGHTS))
    }
    found = BundledModel(
        name=name, reference=reference, path=below, weights=weights, revision=revision
    )
    return ModelFiles(found, files)


def step(name: str) -> str:
    """A name as one step of a path in a bundle."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "--", name).lstrip(".-") or "model"
