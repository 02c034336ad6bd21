"""What `sartor slim` says to people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.paths import human_bytes
from sartor.report.table import table
from sartor.report.words import archs, clean, short_paths, wrapped

if TYPE_CHECKING:
    from sartor.slim.library.model import Retargeted, SlimmedLibrary
    from sartor.slim.model import SlimmedTarget, Slimming

WIDTH = 98
NAME_WIDTH = 36


def slim_lines(document: Slimming) -> list[str]:
    """A block for each target."""
    lines: list[str] = []
    for result in document.results:
        lines += ["", *_block(result, document)] if lines else _block(result, document)
    return lines


def _block(result: SlimmedTarget, document: Slimming) -> list[str]:
    """What one target became."""
    gpus = archs(result.gpus or [target.gpu for target in document.gpus])
    kept = f"{gpus}, and PTX for later ones" if document.keep_ptx else gpus
    if result.output == result.target:
        done = "slimmed in its place" if result.changed else "nothing was changed"
        head = f"{clean(result.target)}: {done}"
    elif result.output is not None:
        head = f"{clean(result.target)} → {clean(result.output)}"
    else:
        head = f"{clean(result.target)}: nothing is written"
    lines = [head, f"  for {kept}"]
    if result.why:
        lines += wrapped("  ", result.why, WIDTH)
    rows = [["file", *_change(result.bytes_before, result.bytes_after), ""]]
    if result.device_bytes_before:
        least = f"the least is {human_bytes(result.device_bytes_least)}"
        pair = _change(result.device_bytes_before, result.device_bytes_after)
        rows.append(["device code", *pair, least])
        before, after = _images(result.libraries)
        rows.append(["images", str(before), "→", str(after), "", ""])
    lines += [f"  {line}" for line in table(rows)]
    lines += _renewed(result.libraries)
    if result.unused:
        from sartor.report.slim_unused import unused_lines

        lines += unused_lines(result, dry_run=document.dry_run)
    if result.environment is not None:
        from sartor.report.slim_environment import environment_lines

        lines += environment_lines(result, dry_run=document.dry_run)
    lines += _libraries(result)
    for note in result.notes:
        lines += wrapped("  note: ", note, WIDTH)
    return lines


def _change(before: int, after: int) -> list[str]:
    """Two sizes, and by how much the second is smaller."""
    if not before or before == after:
        return [human_bytes(before), "", human_bytes(after), "as it was"]
    percent = 100 * (after - before) / before
    return [human_bytes(before), "→", human_bytes(after), f"{percent:+.1f} %"]


def _libraries(result: SlimmedTarget) -> list[str]:
    """A row for each library with device code, and why what was left alone was."""
    shown = [one for one in result.libraries if one.device_bytes_before or one.left_alone]
    names = short_paths([library.path for library in shown], NAME_WIDTH)
    lines: list[str] = []
    if shown and result.kind != "library":
        blank = [""] * 4
        rows = [["library", *blank, "images", "", ""], ["-------", *blank, "------", "", ""]]
        rows += [_row(name, library) for name, library in zip(names, shown, strict=True)]
        lines = ["", *(f"  {line}" for line in table(rows))]
    return lines + _left_alone(list(zip(names, shown, strict=True)))


def _left_alone(libraries: list[tuple[str, SlimmedLibrary]]) -> list[str]:
    """Each reason why something was left alone, with where and how much."""
    where: dict[str, list[str]] = {}
    sizes: dict[str, int] = {}
    units: dict[str, int] = {}
    for name, library in libraries:
        for left in library.left_alone:
            where.setdefault(left.why, []).append(name)
            sizes[left.why] = sizes.get(left.why, 0) + left.bytes
            units[left.why] = units.get(left.why, 0) + left.units
    lines: list[str] = []
    for why, names in where.items():
        held = [human_bytes(sizes[why])] if sizes[why] else []
        held += [_counted(units[why], "unit")] if units[why] else []
        size = f" ({', '.join(held)})" if held else ""
        what = f"{', '.join(names)}{size}: {why}"
        lines += ["", *wrapped("  left alone in ", what, WIDTH, hang=4)]
    return lines


def _row(name: str, library: SlimmedLibrary) -> list[str]:
    before, after = _images([library])
    change = _change(library.bytes_before, library.bytes_after)
    return [name, *change, str(before), "→", str(after)]


def _images(libraries: list[SlimmedLibrary]) -> tuple[int, int]:
    """How many images there were, and are."""
    tallies = [tally for library in libraries for tally in library.images]
    return sum(t.kept + t.dropped for t in tallies), sum(t.kept + t.new for t in tallies)


def _renewed(libraries: list[SlimmedLibrary]) -> list[str]:
    """What was compiled ahead of time, and compressed, in all libraries together."""
    rows: dict[tuple[str, str, str], list[Retargeted]] = {}
    for row in [row for library in libraries for row in library.retargeted]:
        rows.setdefault((row.ptx, row.arch, ", ".join(row.ptxas)), []).append(row)
    lines = []
    for (ptx, arch, ptxas), same in rows.items():
        texts, code = sum(row.ptx_bytes for row in same), sum(row.bytes for row in same)
        plain = sum(row.plain_bytes for row in same)
        how = "" if plain == code else f", {human_bytes(plain)} plain"
        lines.append(
            f"  compiled: {_counted(sum(row.units for row in same), 'unit')} of {ptx} "
            f"({human_bytes(texts)}) → {arch} ({human_bytes(code)}{how}) by ptxas {ptxas}"
        )
    tallies = [tally for library in libraries for tally in library.images]
    images, saved = sum(t.compressed for t in tallies), sum(t.saved_bytes for t in tallies)
    if images:
        lines.append(f"  compressed: {_counted(images, 'image')}, {human_bytes(saved)} less")
    return lines


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
