"""What a lock has beside its plan."""

from __future__ import annotations

import msgspec

from locks import HOST
from sartor import facts
from sartor.artifact.model import Evidence, Library, NotRead, Package, Unit
from sartor.lock.beside import UNUSED, bearing, held, said


def declares(name: str, *requires: str) -> Package:
    return Package(name=name, version="1", path=f"{name}.dist-info", requires=[*requires])


def test_what_holds_on_the_machine_and_by_the_extras_asked_for() -> None:
    packages = {
        "top": declares(
            "top",
            'Web_Kit[Standard]>=1; python_version >= "3.12"',
            'winlib; sys_platform == "win32"',
            'audio>=2; extra == "audio"',
            "own @ https://host.example/own.whl ; python_version >= '3.0'",
        ),
        "web-kit": declares("web-kit", "core", 'cli; extra == "standard"', 'x; extra == "x"'),
        "cli": declares("cli", "web-kit[x]"),
    }
    found = held(packages, ["top==1"], HOST)
    assert found == {
        "top": ["Web_Kit[Standard]>=1", "own @ https://host.example/own.whl"],
        "web-kit": ["cli", "core", "x"],
        "cli": ["web-kit[x]"],
    }
    assert "audio>=2" in held(packages, ["top[audio]==1"], HOST)["top"]


def test_extras_that_ask_for_each_other_come_to_an_end() -> None:
    ring = {
        "a": declares("a", 'a[two]; extra == "one"', 'a[one]; extra == "two"', 'b; extra == "two"')
    }
    assert held(ring, ["a[one]"], HOST)["a"] == ["a[one]", "a[two]", "b"]


def test_facts_that_bear_on_a_lock() -> None:
    every = facts.digests()
    found = bearing(every, ["vllm"], {"vllm", "torch", "numpy"})
    assert {"gpus.toml", "engines/vllm.toml", "packages/torch.toml"} <= found.keys()
    gone = {"engines/sglang.toml", "packages/bitsandbytes.toml", *UNUSED}
    assert gone <= every.keys()
    assert not gone & found.keys()
    assert "engines/sglang.toml" in bearing(every, [], set())


NAMED = Library(
    path="a.so",
    size=9,
    units=[
        Unit(images=[1], offset=40, bytes=5, kernels={"k": [1]}, kernels_read=[1]),
        Unit(images=[0], offset=0, bytes=3, kernels={"j": [0]}, kernels_read=[0]),
        Unit(images=[1], offset=80, bytes=7, kernels={}, kernels_read=[1]),
    ],
)
PLAIN = msgspec.structs.replace(
    NAMED, units=[Unit(images=[0], bytes=3), Unit(images=[1], count=2, bytes=12)]
)


def of(library: Library, **more: object) -> Evidence:
    settings = {"target": "a.whl", "kind": "wheel", "libraries": [library], **more}
    return msgspec.convert(msgspec.to_builtins(settings), Evidence, strict=False)


def test_what_was_said_is_the_same_however_many_names_were_read() -> None:
    assert said(of(NAMED)) == said(of(PLAIN))
    assert said(of(NAMED)) == said(of(NAMED, target="b.whl", not_read=[NotRead("b", "parts")]))
    other = msgspec.structs.replace(PLAIN, units=PLAIN.units[1:])
    assert said(of(other)) != said(of(PLAIN))
    assert said(of(msgspec.structs.replace(PLAIN, glibc="2.28"))) != said(of(PLAIN))
