"""Sizes, pins for a target, whether a machine fits, and the installer's own Python."""

from __future__ import annotations

import ast
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundles import STACK
from locks import HOST, locking, package
from sartor.bundle import install
from sartor.bundle.fits import refuse_unfit
from sartor.bundle.model import Bundle, Installer
from sartor.bundle.own import pins
from sartor.bundle.runtime import pinned
from sartor.bundle.sizes import parse_size
from sartor.bundle.slimmed import refuse_others
from sartor.errors import LockFileError, NotLockableError, TargetUnfitError, UsageError
from sartor.host.describe import parse_host
from sartor.lock.model import Source
from sartor.lock.stack import stack_of_lock
from sartor.slim.choice import Wanted
from sartor.verdict.model import Target

if TYPE_CHECKING:
    from sartor.lock.model import HostClass

SHA = "0" * 64
H200 = "h200, driver=580.159.04, python=3.12, glibc=2.39, arch=x86_64"


@pytest.mark.parametrize(
    ("text", "size"),
    [("60M", 60_000_000), ("64MiB", 64 << 20), ("1.5G", 1_500_000_000), ("7", 7), ("2 kb", 2000)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "M", "-1M", "60 apples", "1e9", "0.0000001"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError):
        parse_size(text)


@given(st.text())
def test_any_text_is_a_size_or_refused(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert parse_size(text) > 0


def of_stack(host: HostClass, accelerator: str = "cuda") -> Bundle:
    stack = msgspec.structs.replace(STACK, accelerator=accelerator)
    installer = Installer(name="install.py", size=0, sha256=SHA)
    more: dict[str, Any] = {"members": [], "installer": installer, "digest": SHA}
    return Bundle(sartor="1", engine="vllm", version="1", host=host, stack=stack, **more)


FOR_H200 = msgspec.structs.replace(HOST, driver="580.159.04", cuda="13.0", gpus=["9.0"], isa=None)


def test_the_machine_that_it_is_for_fits() -> None:
    assert refuse_unfit(of_stack(FOR_H200), parse_host(H200)) == []


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (("h200,", "rtx-5090,"), ["GPUs of compute capability 9.0"]),
        (("580.159.04", "570.86"), ["driver", "the driver's CUDA"]),
        (("glibc=2.39", "glibc=2.31"), ["glibc"]),
        (("python=3.12", "python=3.10"), ["python"]),
        (("arch=x86_64", "arch=aarch64"), ["architecture"]),
    ],
)
def test_what_does_not_fit_is_said(change: tuple[str, str], names: list[str]) -> None:
    with pytest.raises(TargetUnfitError) as error:
        refuse_unfit(of_stack(FOR_H200), parse_host(H200.replace(*change)))
    assert [line.partition(": wanted")[0] for line in error.value.found] == names


def test_more_than_is_wanted_is_no_fault() -> None:
    host = parse_host(H200.replace("580.159.04", "590.44").replace("2.39", "2.41"))
    assert refuse_unfit(of_stack(FOR_H200), host)
    without = parse_host("python=3.12, glibc=2.39, cpu=zen5")
    assert refuse_unfit(of_stack(FOR_H200, "cpu"), without) == []
    with pytest.raises(TargetUnfitError):
        refuse_unfit(of_stack(FOR_H200), without)


def test_every_gpu_of_the_lock_is_named() -> None:
    host = msgspec.structs.replace(HOST, gpus=["9.0", "9.0", "12.0"])
    hopper, blackwell = Target("sm_90", "9.0"), Target("sm_120", "12.0")
    refuse_others(Wanted((hopper, blackwell)), host)
    with pytest.raises(UsageError, match=r"12\.0, which") as raised:
        refuse_others(Wanted((hopper,)), host)
    assert raised.value.hint == "name them too: `--gpu sm_120`"


def test_the_pins_that_hold_on_a_target() -> None:
    text = "a==1 ; sys_platform == 'win32' \\\n    --hash=sha256:" + SHA
    text += "\nb==2 ; python_full_version >= '3.12' \\\n    --hash=sha256:" + SHA + "\n# c==3\n"
    assert [(p.name, p.version, p.hashes) for p in pinned(text, HOST)] == [
        ("b", "2", frozenset({SHA}))
    ]
    names = {p.name for p in pinned(pins(), HOST)}
    assert {"uv", "msgspec", "huggingface-hub"} <= names
    assert "colorama" not in names


TRACE = [{"candidate": {"line": "published", "label": "the label"}, "decisions": []}]


def test_a_lock_is_a_stack_again() -> None:
    found = stack_of_lock(
        locking(package("xllamacpp", "2.0"), engine="llama.cpp", version="2.0", trace=TRACE)
    )
    assert (found.line, found.label, found.launcher) == ("published", "the label", "xllamacpp")
    assert (found.python.path, found.python.version) == (None, "3.12")
    assert [(p.name, p.version) for p in found.packages] == [("xllamacpp", "2.0")]
    assert found.requirements == ["xllamacpp==2.0"]


def test_a_lock_that_is_no_stack() -> None:
    with pytest.raises(LockFileError, match="not known"):
        stack_of_lock(locking(package("xllamacpp"), engine="llama.cpp"))
    source = Source(repository="https://host.example/x", commit="0" * 40)
    with pytest.raises(NotLockableError, match="as a source"):
        stack_of_lock(
            locking(package("x", file=None, source=source), engine="llama.cpp", trace=TRACE)
        )


def test_the_installer_is_python_3_9_and_imports_the_standard_library_alone() -> None:
    tree = ast.parse(Path(install.__file__).read_text(), feature_version=(3, 9))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            imported.add(str(node.module).partition(".")[0])
    assert imported <= sys.stdlib_module_names
