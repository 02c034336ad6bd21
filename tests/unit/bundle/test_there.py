"""What a target has already: how it is read, and what is taken for a locked package."""

from __future__ import annotations

import pytest

from locks import locking, package
from sartor.bundle.there import decide, read_there
from sartor.errors import UsageError

FREEZE = """\
# made on the target
-e git+https://host.example/x#egg=x
Torch==2.11.0+cu130
nvidia_nvjitlink==13.0.88  # comment
own @ file:///opt/own
"""
WANTED = {"torch": "2.11.0+cu130", "nvidia-nvjitlink": "13.0.88"}


def test_lists_are_read_as_pip_writes_them() -> None:
    rows = '[{"name": "Torch", "version": "2.11.0+cu130"}, {"name": "nvidia_nvjitlink", '
    rows += '"version": "13.0.88", "editable_project_location": "/x"}]'
    assert read_there(FREEZE, "f") == read_there(rows, "f") == WANTED


@pytest.mark.parametrize("text", ["torch", "torch>=2", '[{"name": 1}]', "[", "=="])
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_there(text, "f")


@pytest.mark.parametrize(
    ("name", "locked", "there", "taken"),
    [
        ("torch", "2.11.0", "2.11.0", True),
        ("torch", "2.11.0", "2.11.0+cu130", True),
        ("torch", "2.11.0", "2.11.0+cu128", False),
        ("torch", "2.11.0", "2.11.0+cpu", False),
        ("torch", "2.11.0", "2.11.1", False),
        ("torch", "2.11.0+cu130", "2.11.0", False),
        ("torch", "2.11.0+cu130", "2.11.0+cu128", False),
        ("triton", "3.6.0", "3.6.0+gitab12", True),
        ("triton", "3.6", "3.6.0", True),
        ("triton", "3.6.0", "what", False),
    ],
)
def test_what_is_taken_for_a_locked_package(
    name: str, locked: str, there: str, taken: bool
) -> None:
    found = decide(locking(package(name, locked)), {name: there, "other": "1"})
    assert [one.there for one in found.left_out] == ([there] if taken else [])
    exact = locked == there or (locked, there) == ("3.6", "3.6.0")
    assert bool(found.notes) == (there != locked or not exact)
