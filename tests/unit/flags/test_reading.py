"""Definitions are evaluated, never run; what the source does not tell is said, never guessed."""

from __future__ import annotations

import datetime
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartor.flags.facts import Platform, ReaderFact
from sartor.flags.model import OptionSet
from sartor.flags.reader import Release, read_options

if TYPE_CHECKING:
    from pathlib import Path

FACT = ReaderFact(
    engine="made",
    platforms={"made": Platform("cuda")},
    entries=["made.args:add"],
    first_version="1",
    variables="made.envs",
    prefixes=["MADE_"],
    source="this test",
    checked_on=datetime.date(2026, 11, 21),
)


def read(**files: str) -> OptionSet:
    sources = {f"made/{n}.py": dedent(t).encode() for n, t in files.items()} | {
        "made/__init__.py": b""
    }
    return read_options(FACT, Release("made", "1", "made.whl", None), sources.get)


def test_options_come_from_calls_loops_and_helpers() -> None:
    found = read(
        args="""
        import argparse
        from typing import Literal, get_args
        from made.names import KINDS
        Kind = Literal["a", "b"]
        def positive(text):
            value = int(text)
            if value < 1:
                raise ValueError(text)
            return value
        def add(parser):
            group = parser.add_argument_group("first")
            for name in KINDS:
                group.add_argument(f"--{name}-size", "-" + name[0], type=positive, default=4)
            group.add_argument("--kind", choices=list(get_args(Kind)), default="a")
            group.add_argument("--fast", action=argparse.BooleanOptionalAction, default=None)
        """,
        names="KINDS = ('tensor', 'pipeline')",
    )
    assert [n.what for n in found.not_read] == ["variables"]
    assert [o.names for o in found.options[1:]] == [
        ("--tensor-size", "-t"),
        ("--pipeline-size", "-p"),
        ("--kind",),
        ("--fast", "--no-fast"),
    ]
    size, kind = found.options[1], found.options[3]
    assert (size.type, size.default, size.type_name) == ("int", 4, "positive")
    assert (kind.choices, kind.group) == (("a", "b"), "first")


def test_values_that_are_a_kind_of_dict() -> None:
    found = read(
        args="""
        import dataclasses
        class Limits(dict[str, int]):
            pass
        def kind(hint):
            return isinstance(hint, type) and issubclass(hint, dict)
        @dataclasses.dataclass
        class Config:
            limits: Limits = dataclasses.field(default_factory=Limits)
        def add(parser):
            for field in dataclasses.fields(Config):
                choices = ["dict"] if kind(field.type) else ["other"]
                default = field.default_factory()
                parser.add_argument("--" + field.name, choices=choices, default=default)
        """
    )
    assert (found.options[1].choices, found.options[1].default) == (("dict",), {})


def test_what_is_not_told_is_said() -> None:
    found = read(
        args="""
        import torch
        def add(parser):
            parser.add_argument("--devices", type=int, default=torch.cuda.device_count())
            if torch.cuda.is_available():
                parser.add_argument("--graphs", action="store_true")
            kwargs = {"default": 1}
            if torch.version.hip:
                kwargs["default"] = 2
            parser.add_argument("--waves", **kwargs)
            torch.extend(parser)
        """
    )
    devices, graphs, waves = found.options[1:]
    assert devices.default_unknown
    assert graphs.when == "torch.cuda.is_available()"
    assert waves.default_unknown
    assert any("may be added where it cannot be seen" in n.why for n in found.not_read)


def test_nothing_of_a_package_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    found = read(
        args=f"""
        import os
        from pathlib import Path
        Path({str(mark)!r}).write_text("x")
        open({str(mark)!r}, "w").write("x")
        os.system("touch {mark}")
        __import__("os").system("touch {mark}")
        eval("1")
        def add(parser):
            Path({str(mark)!r}).touch()
            os.system("touch {mark}")
            parser.add_argument("--one")
            ().__class__.__bases__[0].__subclasses__()
        """
    )
    assert not mark.exists()
    assert found.find("--one") is not None


@pytest.mark.parametrize(
    "body",
    [
        "while True: pass",
        "add(parser)",
        "x = 'a' * 10**9",
        "x = 9**9**9",
        "x = [[0] * 10**6] * 10**6",
        "x = '%999999999d' % 1",
        "x = '{:>999999999}'.format(1)",
        "x = f'{1:>999999999}'",
        "[x for x in range(10**12)]",
        "raise SystemExit",
        "x = {[]: 1}",
        "parser.add_argument(None)",
        "parser.add_argument(*parser)",
    ],
)
def test_hostile_definitions_end(body: str) -> None:
    found = read(args=f"def add(parser):\n    {body}\n")
    assert isinstance(found, OptionSet)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80))
def test_any_text_ends(text: str) -> None:
    assert isinstance(read(args=f"def add(parser):\n    pass\n{text}"), OptionSet)


def test_variables_of_both_kinds() -> None:
    listed = read(
        args="def add(parser): pass",
        envs="""
        import os
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            MADE_PORT: int = 8000
        environment_variables = {
            "MADE_PORT": lambda: int(os.getenv("MADE_PORT", "8000")),
            "MADE_KIND": env_with_choices("MADE_KIND", None, ["a", "b"]),
        }
        """,
    )
    assert [(v.name, v.type, v.default, v.choices) for v in listed.variables] == [
        ("MADE_KIND", None, None, ("a", "b")),
        ("MADE_PORT", "int", "8000", None),
    ]
    objects = read(
        args="def add(parser): pass",
        envs="""
        class EnvBool:
            def __init__(self, default, deprecated_name=None):
                self.default = default
                self.deprecated_name = deprecated_name
        class Envs:
            MADE_FAST = EnvBool(True, deprecated_name="MADE_QUICK")
        """,
    )
    assert [(v.name, v.replaced_by) for v in objects.variables] == [
        ("MADE_FAST", None),
        ("MADE_QUICK", "MADE_FAST"),
    ]
