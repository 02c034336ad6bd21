"""What `sartor bundle` says to people."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from sartor.paths import human_bytes
from sartor.report.words import clean, few, wrapped

if TYPE_CHECKING:
    from sartor.bundle.model import BundleState

WIDTH = 98


def bundle_lines(state: BundleState) -> list[str]:
    """What was done, what was left out, and what to do with it."""
    where = ", ".join(clean(folder) for folder in state.folders)
    lines = [
        f"{clean(state.engine)} {clean(state.version)}: {state.members} files, "
        f"{human_bytes(state.bytes)}" + (f", in {state.parts} parts" if state.parts else ""),
        f"  for {_machine(state)}",
    ]
    if state.action == "made":
        lines.append(f"  {state.written} written, {state.kept} kept in {where}")
    elif state.action == "checked":
        lines.append(f"  every one is whole, in {where}")
    else:
        what = "there already" if state.reused else "installed"
        lines.append(f"  {what} in {clean(state.environment or '')}")
        grade = state.grade or "not checked: it is for another machine"
        lines.append(f"  grade {grade}")
    if state.left_out:
        names = few([f"{one.name} {one.there}" for one in state.left_out], 6)
        lines += wrapped("  not carried, for the target has them: ", clean(names), WIDTH, hang=4)
    for note in state.notes:
        lines += wrapped("  note: ", clean(note), WIDTH)
    lines.append(f"  digest {state.digest}")
    if state.action == "made":
        lines += ["", "next, on the target: python3 install.py"]
    elif state.action == "installed":
        words = [word for folder in state.folders for word in ("--bundle", folder)]
        lines += ["", f"next: {shlex.join(['sartor', 'up', *words])}"]
    return lines


def _machine(state: BundleState) -> str:
    host = state.host
    words = [host.architecture, f"Python {host.python}"]
    words += [f"glibc {host.glibc}"] if host.glibc else []
    words += [f"driver {host.driver}"] if host.driver else []
    words += (
        [f"GPUs of compute capability {', '.join(sorted(set(host.gpus)))}"] if host.gpus else []
    )
    return ", ".join(words)
