"""What cannot be used: by names that packages have, and what is not said of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from packaging.tags import parse_tag

from sartor.facts.uses import uses
from sartor.slim.needed import settled
from sartor.slim.unused import REMOVABLE, Where, summed, systems_here, systems_of, unused

if TYPE_CHECKING:
    from collections.abc import Iterator

X86, ARM = "x86_64", "aarch64"
HERE = systems_here(X86, None)
KINDS = {
    ("vllm/_C.cpython-310-x86_64-linux-gnu.so", X86): "other-interpreter",
    ("vllm/_C.cpython-312-x86_64-linux-gnu.so", X86): None,
    ("vllm/_C.cpython-312t-x86_64-linux-gnu.so", X86): "other-interpreter",
    ("vllm/_C.cpython-312-x86_64-linux-gnu.so", ARM): "other-machine",
    ("a.cpython-312-aarch64-linux-gnu.so", X86): "other-machine",
    ("a.cpython-312-x86_64-linux-musl.so", X86): "other-machine",
    ("a.cpython-312-darwin.so", X86): "other-machine",
    ("a.pypy310-pp73-x86_64-linux-gnu.so", X86): None,
    ("a.cp312-win_amd64.pyd", X86): "other-machine",
    ("vllm/_C.abi3.so", X86): None,
    ("_C.so", X86): None,
    ("libtorch_cuda.so", X86): None,
    ("libx.so.3.12", X86): None,
    ("libx.cpython-310.so.bak", X86): None,
    ("lib/libx.a", X86): "archives",
    ("lib/x.lib", X86): "archives",
    ("x.cpython-310-x86_64-linux-gnu.a", X86): "archives",
    ("numpy/tests/test_a.py", X86): "tests",
    ("test/a.py", X86): "tests",
    ("tests/a.cpython-310-x86_64-linux-gnu.so", X86): "other-interpreter",
    ("torch/testing/__init__.py", X86): None,
    ("pkg/contests/a.py", X86): None,
    ("bin/ptxas", X86): None,
    ("include/a.h", X86): None,
    ("a-1.0.dist-info/licenses/tests/LICENSE", X86): None,
    ("a-1.0.dist-info/x.a", X86): None,
}


@pytest.mark.parametrize(("path", "machine"), KINDS)
def test_by_name(path: str, machine: str) -> None:
    found = unused([(path, 7)], Where("3.12", systems=systems_here(machine, "linux-gnu")))
    assert [(one.kind, one.size) for one in found] == (
        [(KINDS[path, machine], 7)] if KINDS[path, machine] else []
    )


def test_without_an_interpreter_no_module_is_anothers() -> None:
    assert unused([("a.cpython-310-x86_64-linux-gnu.so", 1)], Where(systems=HERE)) == []


def test_without_a_libc_both_are_ones_own() -> None:
    names = ["a.cpython-312-x86_64-linux-musl.so", "a.cpython-312-x86_64-linux-gnu.so"]
    assert unused([(name, 1) for name in names], Where("3.12", systems=HERE)) == []
    (one,) = unused([("a.cpython-312-darwin.so", 1)], Where("3.12", systems=HERE))
    assert one.why == "modules for darwin"


def test_tests_are_never_removed() -> None:
    assert "tests" not in REMOVABLE


def of_tags(tags: str, module: str) -> str | None:
    """What is said of a module in a wheel with these tags, for no Python that was asked for."""
    where = Where(tags=parse_tag(tags), systems=systems_of(parse_tag(tags)))
    found = unused([(f"a.{module}.so", 1)], where)
    assert all(one.removable == (one.kind in REMOVABLE) for one in found)
    return found[0].kind if found else None


GNU = "x86_64-linux-gnu"


@pytest.mark.parametrize(
    ("tags", "module", "kind"),
    [
        ("cp38-abi3-manylinux_2_28_x86_64", f"cpython-312-{GNU}", "one-interpreter"),
        ("cp38-abi3-manylinux_2_28_x86_64", f"cpython-38-{GNU}", "one-interpreter"),
        ("cp310-abi3-manylinux2014_x86_64", f"cpython-310-{GNU}", "one-interpreter"),
        ("cp310-abi3-manylinux2014_x86_64", f"cpython-39-{GNU}", "other-interpreter"),
        ("cp38-abi3-manylinux_2_28_x86_64", f"cpython-313t-{GNU}", "other-interpreter"),
        ("cp38-abi3-manylinux_2_28_x86_64", "abi3", None),
        ("cp312-cp312-manylinux_2_28_x86_64", f"cpython-312-{GNU}", None),
        ("cp312-cp312-manylinux_2_28_x86_64", f"cpython-311-{GNU}", "other-interpreter"),
        ("cp313-cp313t-manylinux_2_28_x86_64", f"cpython-313t-{GNU}", None),
        ("cp313-cp313t-manylinux_2_28_x86_64", f"cpython-313-{GNU}", "other-interpreter"),
        ("cp311.cp312-cp311.cp312-linux_x86_64", f"cpython-312-{GNU}", "one-interpreter"),
        ("py3-none-manylinux1_x86_64", f"cpython-39-{GNU}", "one-interpreter"),
        ("py3-none-any", "cpython-39-aarch64-linux-gnu", "one-interpreter"),
        ("py3-none-win_amd64", f"cpython-39-{GNU}", "one-interpreter"),
        ("cp312-cp312-manylinux_2_28_x86_64", "cpython-312-aarch64-linux-gnu", "other-machine"),
        ("cp312-cp312-musllinux_1_2_x86_64", f"cpython-312-{GNU}", "other-machine"),
        ("cp312-cp312-musllinux_1_2_x86_64", "cpython-312-x86_64-linux-musl", None),
        ("cp312-cp312-linux_x86_64", "cpython-312-x86_64-linux-musl", None),
        ("cp312-cp312-manylinux_2_28_ppc64le", "cpython-312-powerpc64le-linux-gnu", None),
        ("pp310-pypy310_pp73-manylinux_2_28_x86_64", f"pypy310-pp73-{GNU}", None),
    ],
)
def test_by_a_wheels_own_tags(tags: str, module: str, kind: str | None) -> None:
    assert of_tags(tags, module) == kind


def test_a_windows_module_in_a_windows_wheel() -> None:
    tags = parse_tag("cp312-cp312-win_amd64")
    where = Where(tags=tags, systems=systems_of(tags))
    assert unused([("a.cp312-win_amd64.pyd", 1)], where) == []


def test_nvidias_archives_are_said_and_stay() -> None:
    found = unused([("libcudart_static.a", 1), ("libown.a", 1)], Where("3.12", systems=HERE))
    assert [one.kind for one in found] == ["archives", "archives"]
    assert [one.removable for one in found] == [False, True]


def test_facts_tell_who_uses_a_file_whatever_folder_it_is_in() -> None:
    paths = ["torch/bin/protoc", "lib/python3.12/site-packages/torch/include/a/b.h", "torch/a.py"]
    found = unused([(path, 1) for path in paths], Where("3.12", systems=HERE), "Torch")
    assert [(one.path, one.kind, one.removable) for one in found] == [
        (paths[0], "compiling", False),
        (paths[1], "compiling", False),
    ]
    assert unused([(path, 1) for path in paths], Where("3.12", systems=HERE), "other") == []
    assert all(fact.kind not in REMOVABLE for fact in uses())


MODULE, OLD = f"p/_C.cpython-312-{GNU}.so", f"p/_C.cpython-39-{GNU}.so"
ARCHIVE = "p/libx.a"


def kept(files: dict[str, bytes]) -> dict[str, str | None]:
    """Of what is of no use for 3.12 by its name, which file names it; None: it may go."""

    def read(path: str) -> Iterator[bytes]:
        data = files[path]
        yield from (data[i : i + 7] for i in range(0, len(data), 7))

    found = unused([(p, len(d)) for p, d in files.items()], Where("3.12", systems=HERE))
    rows = settled(found, files, read)
    assert all(one.removable == (one.named_by is None) for one in rows)
    return {one.path: one.named_by for one in rows}


def test_what_a_library_that_stays_needs_stays() -> None:
    files = {MODULE: b"\x7fELF", OLD: b"\x7fELF" + OLD.encode()}
    assert kept(files) == {OLD: None}
    assert kept({**files, "p/libp.so.1": b"\x7fELF\0" + OLD[2:].encode() + b"\0"}) == {
        OLD: "p/libp.so.1"
    }


def test_what_a_program_needs_stays() -> None:
    program = b"\x7fELF\0" + OLD[2:].encode() + b"\0"
    assert kept({OLD: b"\x7fELF", "p/bin/run": program}) == {OLD: "p/bin/run"}
    assert kept({OLD: b"\x7fELF", "p/notes.txt": program}) == {OLD: None}
    assert kept({OLD: b"\x7fELF", "p-1.dist-info/RECORD": OLD.encode()}) == {OLD: None}


def test_what_only_others_that_go_need_goes_too() -> None:
    third = f"p/_D.cpython-39-{GNU}.so"
    files = {OLD: b"\x7fELF", third: b"\x7fELF" + OLD[2:].encode()}
    assert kept(files) == {OLD: None, third: None}
    named = {**files, "p/a.py": third.encode()}
    assert kept(named) == {OLD: third, third: "p/a.py"}


@pytest.mark.parametrize(
    ("source", "stays"),
    [
        (b"torch.ops.load_library(glob.glob(str(d / '_C*.so'))[0])", True),
        (b'spec = spec_from_file_location(n, next(d.glob("sub/*.so")))', True),
        (b"ctypes.CDLL(glob('_D*.so'))", False),
        (b"load_library(glob('*'))", False),
        (b"names = glob('_C*.so')", False),
        (b"from . import _C", False),
        (b"x = '_C.cpython-39-x86_64-linux-gnu.so'", True),
    ],
)
def test_what_sources_load_by_a_glob_stays(source: bytes, stays: bool) -> None:
    assert kept({OLD: b"", "p/a.py": source}) == {OLD: "p/a.py" if stays else None}


def test_an_archive_is_one_by_its_first_bytes() -> None:
    assert kept({ARCHIVE: b"!<arch>\n1234567"}) == {ARCHIVE: None}
    assert kept({ARCHIVE: b"!<thin>\n"}) == {ARCHIVE: None}
    assert kept({ARCHIVE: b"a table"}) == {}


def test_an_archive_that_builds_are_told_to_link_stays() -> None:
    files = {ARCHIVE: b"!<arch>\n", "p/x.cmake": b'set(X "${HERE}/libx.a")'}
    assert kept(files) == {ARCHIVE: "p/x.cmake"}


def test_rows_are_summed_by_what_is_said() -> None:
    files = [(OLD, 3), (f"p/_D.cpython-39-{GNU}.so", 5), ("p/tests/a.py", 9)]
    ones = unused(files, Where("3.12", systems=HERE))
    packed = {path: 1 for path, _ in files}
    tests, modules = summed("p", ones, {OLD, files[1][0]}, packed)
    assert (tests.kind, tests.bytes, tests.removed) == ("tests", 9, False)
    assert (modules.files, modules.bytes, modules.packed_bytes) == (2, 8, 2)
    assert (modules.example, modules.removed) == (files[1][0], True)
