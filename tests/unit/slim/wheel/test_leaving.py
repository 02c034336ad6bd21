"""Wheels without what nobody can use: what goes, what stays, and the laws of slimming."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from record_judge import record_faults, rows
from sartor.errors import NotSlimmableError
from sartor.schemas import schemas
from sartor.slim.choice import Wanted
from sartor.slim.wheel.reduce import WheelRequest, slim_wheel
from sartor.verdict.model import Target
from slim_wheels import INFO, contents, library, read_wheel, row, write_wheel

if TYPE_CHECKING:
    from sartor.slim.model import SlimmedTarget

NAME = "units-1.0-cp310-abi3-manylinux_2_28_x86_64.whl"
AMPERE, HOPPER = Target("sm_80", "8.0"), Target("sm_90", "9.0")
ONE, BOTH = Wanted((HOPPER,)), Wanted((AMPERE, HOPPER))
END = "x86_64-linux-gnu.so"
OLD, C11, C12, C13 = (f"units/_c.cpython-{n}-{END}" for n in (39, 311, 312, 313))
ARM = "units/_c.cpython-312-aarch64-linux-gnu.so"
ARCHIVE, TESTS = "units/lib/libunits.a", "units/tests/test_units.py"
MORE = {
    OLD: b"of Python 3.9",
    C11: library(),
    C12: b"of Python 3.12",
    C13: b"of Python 3.13",
    ARM: b"of another machine",
    ARCHIVE: b"!<arch>\nan archive",
    TESTS: b"assert True\n",
}
NOBODYS = {OLD, ARM, ARCHIVE}


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return write_wheel(tmp_path / NAME, contents(extra=MORE))


def slim(
    path: Path, wanted: Wanted = ONE, python: str | None = None, *, removing: bool = True
) -> Path:
    """The wheel that comes of it, whole, by a reader of its own."""
    folder = path.parent / "out"
    request = WheelRequest(path, wanted, folder, copy=True, python=python, removing=removing)
    result = slim_wheel(request)
    assert result.output is not None
    output = Path(result.output)
    assert record_faults(output) == []
    return output


def said(path: Path) -> dict[str, object]:
    document: dict[str, object] = json.loads(read_wheel(path)[f"{INFO}/sartor.json"])
    jsonschema.Draft202012Validator(schemas("slimmed").schemas["sartor.slimmed/1"]).validate(
        document
    )
    return document


def kinds(result: SlimmedTarget) -> dict[str, tuple[int, int, bool]]:
    """What is said of each kind: files, bytes, whether they are removed."""
    found: dict[str, tuple[int, int, bool]] = {}
    for one in result.unused:
        files, size, _ = found.get(one.kind, (0, 0, False))
        found[one.kind] = (files + one.files, size + one.bytes, one.removed)
    return found


def test_nothing_is_removed_unless_asked(wheel: Path) -> None:
    result = slim_wheel(WheelRequest(wheel, ONE))
    assert kinds(result) == {
        "other-interpreter": (1, len(MORE[OLD]), False),
        "other-machine": (1, len(MORE[ARM]), False),
        "archives": (1, len(MORE[ARCHIVE]), False),
        "one-interpreter": (3, sum(len(MORE[name]) for name in (C11, C12, C13)), False),
        "tests": (1, len(MORE[TESTS]), False),
    }
    output = slim(wheel, removing=False)
    assert "-1sm90-" in output.name
    assert {*read_wheel(wheel)} <= {*read_wheel(output)}
    assert (said(output)["remove_unused"], said(output)["removed"]) == (False, [])


def test_what_nobody_can_use_is_left_out(wheel: Path) -> None:
    output = slim(wheel)
    assert output.name == NAME.replace("-cp310", "-1sm90.lean-cp310")
    assert {*read_wheel(wheel)} - {*read_wheel(output)} == NOBODYS
    assert said(output)["removed"] == [
        {"path": path, "kind": kind, "size": len(MORE[path])}
        for path, kind in sorted(
            {OLD: "other-interpreter", ARM: "other-machine", ARCHIVE: "archives"}.items()
        )
    ]


def test_the_rest_of_record_stays_byte_for_byte(wheel: Path) -> None:
    changed = {"units/units.so", C11, f"{INFO}/WHEEL"}
    whole, lean = rows(slim(wheel, removing=False)), rows(slim(wheel))
    own = [line for line in whole if not line.startswith(f"{INFO}/".encode())]
    gone = [line for line in own if line.partition(b",")[0].decode() in NOBODYS]
    assert [line for line in lean if not line.startswith(f"{INFO}/".encode())] == [
        line for line in own if line not in gone
    ]
    before = {line for line in rows(wheel) if line.partition(b",")[0].decode() not in changed}
    assert {line for line in before if line not in lean} == {*gone}


def test_rows_with_other_line_ends_and_quotes(tmp_path: Path) -> None:
    odd = f'units/a,"b".cpython-39-{END}'
    files = contents(extra={odd: b"odd", **MORE})
    quoted = '"' + odd.replace('"', '""') + '"'
    lines = [row(quoted if n == odd else n, d) for n, d in files.items()]
    record = "".join(f"{line}\r\n" for line in [*lines, f"{INFO}/RECORD,,"]).encode()
    output = slim(write_wheel(tmp_path / NAME, files, record=record))
    assert odd not in read_wheel(output)
    assert all(line.endswith(b"\r\n") for line in rows(output))


def test_for_one_python_the_modules_of_all_others_go(wheel: Path) -> None:
    output = slim(wheel, python="3.12")
    assert output.name == NAME.replace("-cp310", "-1sm90.lean.cp312-cp310")
    assert {*read_wheel(wheel)} - {*read_wheel(output)} == {*NOBODYS, C11, C13}
    assert said(output)["python"] == "3.12"
    assert [one["path"] for one in said(output)["libraries"]] == ["units/units.so"]  # type: ignore[attr-defined]


def test_a_python_is_only_told_where_nothing_is_removed(wheel: Path) -> None:
    result = slim_wheel(WheelRequest(wheel, ONE, python="3.12"))
    assert kinds(result)["other-interpreter"][0] == 3
    assert slim(wheel, python="3.12", removing=False).name == slim(wheel, removing=False).name


def test_another_python_than_the_wheels(wheel: Path) -> None:
    with pytest.raises(NotSlimmableError, match=r"not for Python 3\.9"):
        slim(wheel, python="3.9")
    lean = slim(wheel, python="3.12")
    with pytest.raises(NotSlimmableError, match=r"what 3\.13 would load is gone") as raised:
        slim(lean, python="3.13")
    assert NAME in str(raised.value.hint)


def test_twice_is_once(wheel: Path) -> None:
    for python in (None, "3.12"):
        once = slim(wheel, python=python)
        result = slim_wheel(WheelRequest(once, ONE, python=python, removing=True))
        assert not result.changed
        assert slim(once, python=python).read_bytes() == once.read_bytes()
        assert slim(once, removing=False).read_bytes() == once.read_bytes()


def test_a_dry_run_knows_the_size(wheel: Path) -> None:
    for python in (None, "3.12"):
        request = WheelRequest(wheel, ONE, python=python, removing=True)
        assert slim_wheel(request).bytes_after == slim(wheel, python=python).stat().st_size


CHOICES = [
    (wanted, python, removing)
    for wanted in (BOTH, ONE)
    for removing, python in ((False, None), (True, None), (True, "3.12"), (True, "3.13"))
]


def test_two_different_files_have_not_one_name(wheel: Path) -> None:
    made = [slim(wheel, wanted, python, removing=how) for wanted, python, how in CHOICES]
    files = {path.name: path.read_bytes() for path in made}
    assert len(files) == len(CHOICES) == len({*files.values()})


CHAIN = st.lists(
    st.tuples(st.sampled_from([BOTH, ONE]), st.sampled_from([None, "3.12"]), st.booleans()),
    min_size=1,
    max_size=4,
)


@given(CHAIN, st.sets(st.sampled_from(sorted(MORE))))
@settings(max_examples=25, deadline=None)
def test_less_and_less_is_all_at_once(
    chain: list[tuple[Wanted, str | None, bool]], chosen: set[str]
) -> None:
    """However it is gone about, the bytes are those of asking for the last at once."""
    chain.sort(key=lambda step: step[0] is ONE)
    removing = any(step[2] for step in chain)
    python = next((python for _, python, how in chain if how and python), None)
    with TemporaryDirectory() as folder:
        files = contents(extra={name: MORE[name] for name in MORE if name in chosen})
        source = path = write_wheel(Path(folder) / NAME, files)
        for number, (wanted, version, how) in enumerate(chain):
            path = slim(path, wanted, version, removing=how)
            path = path.replace(_made(Path(folder) / str(number)) / path.name)
        at_once = slim(source, chain[-1][0], python, removing=removing)
        assert path.name == at_once.name
        assert path.read_bytes() == at_once.read_bytes()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_what_something_else_in_the_wheel_needs_stays(tmp_path: Path) -> None:
    files = contents(extra={**MORE, "units/load.py": f"open('{Path(OLD).name}')".encode()})
    path = write_wheel(tmp_path / NAME, files)
    result = slim_wheel(WheelRequest(path, ONE, removing=True))
    (named,) = (one for one in result.unused if one.named_by is not None)
    assert (named.named_by, named.removed) == ("units/load.py", False)
    assert {*read_wheel(path)} - {*read_wheel(slim(path))} == NOBODYS - {OLD}


def test_metadata_and_sources_stay_whatever_they_are_called(tmp_path: Path) -> None:
    odd = {f"{INFO}/libx.a": b"!<arch>\n", f"units/x.cpython-39-{END}.py": b"", "units/a.a.py": b""}
    path = write_wheel(tmp_path / NAME, contents(extra={**odd, **MORE}))
    assert {*odd} <= {*read_wheel(slim(path))}


def test_a_wheel_without_device_code(tmp_path: Path) -> None:
    files = {n: d for n, d in contents(extra={ARCHIVE: MORE[ARCHIVE]}).items() if n[-3:] != ".so"}
    path = write_wheel(tmp_path / NAME, files)
    assert ARCHIVE not in read_wheel(slim(path))
    without = write_wheel(tmp_path / NAME, {n: d for n, d in files.items() if n != ARCHIVE})
    assert slim(without).name == NAME


def test_a_removed_library_that_is_not_whole_is_still_found(wheel: Path) -> None:
    """Every member is read, also of what goes."""
    from sartor.errors import ArtifactUnreadableError

    files = contents(extra=MORE)
    record = "".join(row(n, d + b"x" * (n == C11)) + "\n" for n, d in files.items())
    bad = write_wheel(wheel, files, record=f"{record}{INFO}/RECORD,,\n".encode())
    with pytest.raises(ArtifactUnreadableError):
        slim(bad, python="3.12")


def test_what_installers_take(wheel: Path) -> None:
    from packaging.utils import parse_wheel_filename

    for wanted, python in itertools.product((ONE, BOTH), (None, "3.12")):
        name = slim(wheel, wanted, python).name
        before, after = parse_wheel_filename(NAME), parse_wheel_filename(name)
        assert (before[0], before[1], before[3]) == (after[0], after[1], after[3])
