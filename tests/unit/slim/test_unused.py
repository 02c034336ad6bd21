"""What cannot be used: by names that packages have, and what is not said of others."""

from __future__ import annotations

import pytest

from sartor.slim.unused import REMOVABLE, Where, systems_here, unused

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
    ("x.cpython-310-x86_64-linux-gnu.a", X86): "archives",
    ("numpy/tests/test_a.py", X86): "tests",
    ("test/a.py", X86): "tests",
    ("torch/testing/__init__.py", X86): None,
    ("pkg/contests/a.py", X86): None,
    ("bin/ptxas", X86): None,
    ("include/a.h", X86): None,
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
