"""Which containers of which files are handed to the driver, and what is foretold of each."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sartor.artifact.device_code import key_of
from sartor.artifact.elf import Elf
from sartor.artifact.fatbin import Container, containers, scattered
from sartor.artifact.library import parts_of
from sartor.artifact.source import FileSource, Invalid
from sartor.verdict.dispatch import Dispatcher
from sartor.verdict.model import Grade
from sartor.verdict.unit import UnitGrade, grade_unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sartor.artifact.device_code import Part
    from sartor.artifact.fatbin import Entry
    from sartor.artifact.model import Image, Library, Unit
    from sartor.verdict.model import Target
    from sartor.verify.subject.contents import Contents


class Foretold(msgspec.Struct, frozen=True):
    """One container, or one file of device code.

    ``file`` is the number of its file in `Code.files`, ``text`` the bytes of the PTX text that the
    driver would compile, ``images`` the architectures that it holds.
    """

    file: int
    offset: int
    size: int
    grade: Grade
    text: int
    images: tuple[str, ...] = ()


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """The device code of one library, or of the files of device code of one package.

    ``path`` is the library, or the folder that ``files`` are below. ``linked`` counts relocatable
    units, which are not loaded as they stand; ``why`` is the commonest reason of those of which
    nothing is foretold to load. ``scattered``: the library itself chooses which it loads.
    ``texts`` counts PTX in files of its own, which nobody need compile as it stands.
    """

    name: str
    path: str
    package: str | None
    units: list[Foretold]
    files: list[str] = []
    linked: int = 0
    linked_jit: int = 0
    why: str = ""
    scattered: bool = False
    texts: int = 0
    unread: list[str] = []

    def of_grades(self, *grades: Grade) -> list[Foretold]:
        """Those of which that is foretold."""
        return [unit for unit in self.units if unit.grade in grades]


def device_code(contents: Contents, target: Target) -> Iterator[Code]:
    """Everything with device code, by path; what the library itself chooses from stands apart."""
    dispatch = Dispatcher(contents.case.packages)
    loose: dict[str, list[Library]] = defaultdict(list)
    for library in contents.libraries:
        if library.kind == "elf" and library.units:
            yield from _of_library(contents, library, target, dispatch)
        elif library.units:
            top = contents.names[library.path].partition("/")[0]
            loose[library.path.removesuffix(contents.names[library.path]) + top].append(library)
    for folder, libraries in sorted(loose.items()):
        yield _of_files(contents, folder, libraries, target, dispatch)


def _of_library(
    contents: Contents, library: Library, target: Target, dispatch: Dispatcher
) -> Iterator[Code]:
    found: dict[bool, list[Foretold]] = {False: [], True: []}
    alone = {unit.offset: unit for unit in library.units if unit.offset is not None}
    groups = {(u.relocatable, u.scattered, tuple(u.images)): u for u in library.units}
    index = {_key(image): number for number, image in enumerate(library.images)}
    grades: dict[int, UnitGrade] = {}
    linked, unread = {"native": 0, "jit": 0}, []
    for item, part in _containers(library.path):
        if isinstance(item, Invalid):
            unread.append(f"{item.offset:#x}: {item.reason}")
            continue
        held = tuple(index[key_of(entry)] for entry in item.entries)
        unit = alone.get(item.offset) or groups[part.relocatable, part.scattered, held]
        grade = grades.get(id(unit)) or _grade(library, unit, target, dispatch)
        grades[id(unit)] = grade
        if part.relocatable:
            linked["jit" if grade.grade == "jit" else "native"] += 1
        else:
            found[part.scattered].append(_foretold(item, held, grade))
    reasons = {
        scattered: [grades[id(u)] for u in library.units if u.scattered == scattered]
        for scattered in (False, True)
    }
    for scattered_ones in (False, True):
        if found[scattered_ones] or (not scattered_ones and (unread or sum(linked.values()))):
            yield Code(
                name=contents.names[library.path],
                path=library.path,
                package=contents.owner_name(library.path),
                units=found[scattered_ones],
                linked=0 if scattered_ones else sum(linked.values()),
                linked_jit=0 if scattered_ones else linked["jit"],
                why=_why(reasons[scattered_ones], target),
                scattered=scattered_ones,
                unread=[] if scattered_ones else unread,
            )


def _grade(library: Library, unit: Unit, target: Target, dispatch: Dispatcher) -> UnitGrade:
    """The unit's grade; PTX that the engine does not call on the GPU is compiled for nobody."""
    grade = grade_unit(library, unit, target, dispatch)
    fact = dispatch(library, unit, target) if grade.grade == "jit" else None
    return grade if fact is None else UnitGrade("not-applicable", fact.because)


def _key(image: Image) -> tuple[object, ...]:
    return (image.kind, image.arch, image.ptx_isa, image.compression, image.options)


def _containers(path: str) -> Iterator[tuple[Container | Invalid, Part]]:
    """Every container of a library, and the section that it is in."""
    with FileSource(Path(path)) as source:
        parts, _ = parts_of(source, path, Elf(source))
        for part in parts:
            walk = scattered if part.scattered else containers
            for item in walk(source, part.start, part.size):
                yield item, part


def _foretold(item: Container, held: tuple[int, ...], grade: UnitGrade) -> Foretold:
    """A container with its grade; its text is that of the image which the driver takes."""
    taken: list[Entry] = [
        entry
        for entry, image in zip(item.entries, held, strict=True)
        if grade.grade == "jit" and image == grade.image
    ]
    text = max((entry.plain or entry.stored for entry in taken), default=0)
    images = tuple(dict.fromkeys(entry.architecture for entry in item.entries))
    return Foretold(0, item.offset, item.end - item.offset, grade.grade, text, images)


def _of_files(
    contents: Contents,
    folder: str,
    libraries: list[Library],
    target: Target,
    dispatch: Dispatcher,
) -> Code:
    """Files of device code that lie below one folder: those that are for the GPU are wanted."""
    units: list[Foretold] = []
    files: list[str] = []
    grades: list[UnitGrade] = []
    for library in libraries:
        grade = grade_unit(library, library.units[0], target, dispatch)
        grades.append(grade)
        if grade.grade == "native" and library.kind == "cubin":
            archs = tuple(image.arch for image in library.images)
            units.append(Foretold(len(files), 0, library.size, grade.grade, 0, archs))
            files.append(library.path.removeprefix(folder + "/"))
    return Code(
        name=contents.names[libraries[0].path].partition("/")[0],
        path=folder,
        package=contents.owner_name(libraries[0].path),
        units=units,
        files=files,
        texts=sum(library.kind == "ptx" for library in libraries),
        why=_why(grades, target),
    )


def _why(grades: Iterable[UnitGrade], target: Target) -> str:
    """The commonest reason, where nothing is native."""
    counts: dict[str, int] = defaultdict(int)
    for grade in grades:
        counts[f"{grade.grade}: {grade.because}"] += 1
    most = max(counts, key=lambda because: counts[because], default="it holds no unit")
    return f"nothing in it is machine code for {target.gpu} ({most})"
