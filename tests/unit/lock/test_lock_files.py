"""The two files of a lock: the same bytes for the same lock, and the same lock back."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from packaging.pylock import Pylock

from locks import HOST, locking, lockings, package, wheel_file
from sartor.errors import LockFileError, NotLockableError
from sartor.lock.canonical import canonical
from sartor.lock.document import is_ours, lock_texts, read_lock
from sartor.lock.model import DEFAULT, LockedIndex, Locking, Source

if TYPE_CHECKING:
    from random import Random

FEW = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
"""A lock takes long to draw."""
HERE = PurePosixPath("/home/somebody/project")


def written(one: Locking) -> tuple[bytes, bytes]:
    texts = lock_texts(one, HERE)
    return texts["pylock.toml"].encode(), texts["sartor.lock"].encode()


@given(lockings())
@FEW
def test_what_is_written_is_read_back(one: Locking) -> None:
    pylock, own = written(one)
    assert read_lock(pylock, own, HERE) == canonical(one)
    assert canonical(canonical(one)) == canonical(one)
    assert is_ours("pylock.toml", pylock)
    assert is_ours("sartor.lock", own)
    Pylock.from_dict(tomllib.loads(pylock.decode()))


@given(lockings(), st.randoms(use_true_random=False))
@FEW
def test_the_order_in_which_things_come_makes_no_difference(one: Locking, chance: Random) -> None:
    def shuffled(items: list[Any]) -> list[Any]:
        return chance.sample(items, len(items))

    other = replace(
        one,
        packages=[replace(p, requires=shuffled(p.requires)) for p in shuffled(one.packages)],
        indexes=shuffled(one.indexes),
        leave_out=shuffled(one.leave_out),
        system=shuffled(one.system),
        env=dict(shuffled([*one.env.items()])),
        facts=dict(shuffled([*one.facts.items()])),
        host=replace(one.host, gpus=shuffled(one.host.gpus)),
    )
    assert written(other) == written(one)


def test_two_ways_to_write_one_capability_have_an_order() -> None:
    one, other = (
        replace(locking(), host=replace(HOST, gpus=g)) for g in (["9", "09"], ["09", "9"])
    )
    assert written(one) == written(other)


@given(lockings())
@FEW
def test_no_credentials_and_no_folder_of_this_machine(one: Locking) -> None:
    plain = replace(one, engine="", trace=[], env={})
    pylock, own = written(plain)
    assert b"secret" not in pylock + own
    assert b"/srv" not in pylock.replace(b'"/srv', b"")
    assert str(HERE).encode() not in pylock + own
    elsewhere = lock_texts(plain, PurePosixPath("/opt/a/deeper/folder"))
    assert elsewhere["pylock.toml"].encode() == pylock


def test_files_beside_the_lock_move_with_it() -> None:
    file = replace(wheel_file("a"), url=f"file://{HERE}/wheels/a-1.0-py3-none-any.whl")
    one = locking(
        package("a", file=file, index="own"),
        indexes=[LockedIndex(alias="own", url=f"file://{HERE}/wheels")],
    )
    pylock, own = written(one)
    assert b'path = "wheels/a-1.0-py3-none-any.whl"' in pylock
    moved = read_lock(pylock, own, PurePosixPath("/opt/x"))
    assert moved.packages[0].file == replace(
        file, url="file:///opt/x/wheels/a-1.0-py3-none-any.whl"
    )
    assert moved.indexes[0].url == "file:///opt/x/wheels"


def test_an_index_of_files_is_named_in_sartors_own_lock_alone() -> None:
    one = locking(package("a"), indexes=[LockedIndex(alias=DEFAULT, url="file:///srv/simple")])
    pylock, own = written(one)
    assert "index" not in tomllib.loads(pylock.decode())["packages"][0]
    assert b'url = "/srv/simple"' in own


def test_what_is_lacking_is_said_all_at_once() -> None:
    one = locking(
        package("a", file=replace(wheel_file("a"), sha256=None)),
        package("b", index="maker"),
        package("c", file=None),
        package("d"),
        package("d"),
    )
    with pytest.raises(NotLockableError) as raised:
        lock_texts(one, HERE)
    assert [line.partition(":")[0] for line in raised.value.found] == ["d", "a", "b", "c"]


def test_a_package_from_source_is_a_commit() -> None:
    source = Source(repository="https://git.example/x", commit="a" * 40, flags=["-DX=1"])
    pylock, own = written(locking(package("a", file=None, source=source), strategy="source"))
    vcs = tomllib.loads(pylock.decode())["packages"][0]["vcs"]
    assert vcs == {"type": "git", "url": "https://git.example/x", "commit-id": "a" * 40}
    assert tomllib.loads(own.decode())["package"][0]["source"]["flags"] == ["-DX=1"]


GOOD = locking(package("a", "1.0", "b>=1"), package("b"), env={"X": "1"}, trace=[{"rule": "r"}])


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('schema = "sartor.lock/1"', 'schema = "sartor.lock/2"', "sartor.lock/2"),
        ('schema = "sartor.lock/1"', "schema = 1", "schema `1`"),
        ('version = "0.32.0"', "version = 32", "line 6: version: Expected `str`, got `int`"),
        ('python = "3.12"', 'python = "2.7"', "host.python"),
        ("[host]", "[host", "line"),
        ('name = "a"', 'name = "A"', "package[0].name"),
        ('X = "1"', "X = [1]", "env"),
        ("[env]", "[other]", "other"),
        ('[[package]]\nname = "a"', '[[package]]\nbad = 1\nname = "a"', "unknown field `bad`"),
        ('{\\"rule\\"', '{\\"rule', "trace"),
    ],
)
def test_what_is_wrong_with_a_lock_is_said_with_its_place(
    before: str, after: str, said: str
) -> None:
    pylock, own = written(GOOD)
    damaged = own.decode().replace(before, after, 1).encode()
    assert damaged != own
    fixed = pylock.decode().replace(sha(own), sha(damaged)).encode()
    with pytest.raises(LockFileError) as raised:
        read_lock(fixed, damaged, HERE)
    assert said in raised.value.message
    assert "`sartor.lock`" in raised.value.message
    assert raised.value.hint


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('lock-version = "1.0"', 'lock-version = "9.0"', "9.0"),
        ('\nname = "b"', '\nname = "c"', "c"),
        ("wheels = [{", "wheels = [1, {", "wheels"),
        ('\nversion = "1.0"', '\nversion = "1.1"', "1.1"),
        ("[tool.sartor]", "[tool.other]", "not of one lock"),
    ],
)
def test_what_is_wrong_with_a_pylock(before: str, after: str, said: str) -> None:
    pylock, own = written(GOOD)
    damaged = pylock.decode().replace(before, after, 1).encode()
    assert damaged != pylock
    with pytest.raises(LockFileError) as raised:
        read_lock(damaged, own, HERE)
    assert said in raised.value.message


def test_the_two_are_of_one_lock() -> None:
    pylock, own = written(GOOD)
    changed = own.replace(b'engine = "vllm"', b'engine = "vllm2"')
    with pytest.raises(LockFileError, match="not of one lock") as raised:
        read_lock(pylock, changed, HERE)
    assert len(raised.value.found) == 2


def test_packages_that_differ() -> None:
    pylock, own = written(GOOD)
    other, _ = written(replace(GOOD, packages=[package("a", "1.0", "b>=1"), package("b", "2.0")]))
    stated = tomllib.loads(other.decode())["tool"]["sartor"]["sha256"]
    swapped = other.decode().replace(stated, sha(own))
    with pytest.raises(LockFileError, match="same packages"):
        read_lock(swapped.encode(), own, HERE)
    assert pylock != other


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_cleanly(data: bytes) -> None:
    pylock, own = written(GOOD)
    for first, second in ((data, own), (pylock, data), (data, data)):
        with pytest.raises(LockFileError):
            read_lock(first, second, HERE)
    assert not is_ours("pylock.toml", data)


@pytest.mark.parametrize(
    "data",
    [
        b"a = " + b"[" * 100_000,
        b"a = {" * 100_000,
        b"x." * 100_000 + b"y = 1",
        b"a = " + b"9" * 100_000,
        b"#" * ((16 << 20) + 1),
        b"\xff",
    ],
)
def test_hostile_texts(data: bytes) -> None:
    pylock, own = written(GOOD)
    with pytest.raises(LockFileError):
        read_lock(pylock, data, HERE)
    with pytest.raises(LockFileError):
        read_lock(data, own, HERE)


def test_the_marker_is_that_of_the_machine() -> None:
    pylock, _ = written(locking(package("a"), host=replace(HOST, architecture="aarch64")))
    (marker,) = tomllib.loads(pylock.decode())["environments"]
    assert "platform_machine == 'aarch64'" in marker
    assert tomllib.loads(pylock.decode())["requires-python"] == "==3.12.*"
