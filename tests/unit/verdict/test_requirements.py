"""Plain requirement lines are read as `packaging` reads them, without its parser."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from sartor.artifact.model import Package
from sartor.verdict.requirements import MOST_REQUIREMENT, PLAIN, parse_line, required_names

NAMES = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,8}[A-Za-z0-9])?", fullmatch=True)
EXTRAS = st.sampled_from(["", "[cu13]", "[a,c,b-d]", "[]"])
BOUND = st.builds(
    "{}{}".format,
    st.sampled_from(["==", "!=", ">=", "<=", "<", ">", "~=", "===", "="]),
    st.sampled_from(["1", "2.11.0", "1.*", "0.7.0.post1", "2.0rc1", "2.11.0+cu130", "x"]),
)
MARKERS = st.sampled_from(
    [
        "",
        '; extra == "bench"',
        ' ; python_version > "3.11"',
        '; platform_machine == "x86_64" or platform_machine == "aarch64"',
        "; extra=='a' and sys_platform != 'win32'",
        '; (extra == "a")',
        '; "extra" == os_name',
        '; platform_system == "extra"',
        "; os_name",
    ]
)
LINES = st.builds(
    lambda name, space, extras, bounds, marker: f"{name}{extras}{space}{','.join(bounds)}{marker}",
    NAMES,
    st.sampled_from(["", " ", "  "]),
    EXTRAS,
    st.lists(BOUND, max_size=3),
    MARKERS,
)


@given(LINES)
def test_a_line_is_what_packaging_says_that_it_is(line: str) -> None:
    try:
        judge = Requirement(line)
    except InvalidRequirement:
        assert parse_line(line) is None
        return
    found = parse_line(line)
    assert found is not None
    assert found.name == canonicalize_name(judge.name)
    assert sorted(found.bounds.split(",")) == sorted(str(judge.specifier).split(","))
    extras = f"[{','.join(sorted(judge.extras))}]" if judge.extras else ""
    assert found.text == f"{judge.name}{extras}{found.bounds}"
    assert bool(found.marker) is (judge.marker is not None)


@given(st.text(max_size=60))
def test_any_text_is_a_requirement_where_packaging_says_so(line: str) -> None:
    try:
        Requirement(line)
    except InvalidRequirement:
        assert parse_line(line) is None
    else:
        assert parse_line(line) is not None


@pytest.mark.parametrize(
    "line",
    [
        "requests>=2.26.0",
        "fastapi[standard]<0.137.0,>=0.133.0",
        "protobuf!=6.30.*,!=6.31.*,>=5.29.6",
        'xgrammar<1.0.0,>=0.2.1; platform_machine == "x86_64" or platform_machine == "s390x"',
        'opentelemetry-exporter-otlp>=1.26.0; extra == "otel"',
    ],
)
def test_lines_of_engines_are_plain(line: str) -> None:
    assert PLAIN.fullmatch(line)


def test_what_an_extra_alone_asks_for_is_not_required() -> None:
    lines = ["Torch_Audio==2.11.0", 'av; extra == "audio"', 'scipy; (extra == "audio")']
    assert required_names(Package(name="a", version="1", path="", requires=lines)) == {
        "torch-audio"
    }


def test_a_line_that_is_too_long_is_none() -> None:
    assert parse_line("a" * MOST_REQUIREMENT) is not None
    assert parse_line("a" * (MOST_REQUIREMENT + 1)) is None
