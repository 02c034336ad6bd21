"""Which layers are left where they are, and which are fetched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartor.artifact.oci import Step
from sartor.artifact.tar import TarMember
from sartor.remote.layer_plan import (
    LARGE,
    Look,
    declared,
    destination,
    may_hold_libraries,
    why_skip,
    worth_a_look,
)

GIB = 1 << 30


@pytest.mark.parametrize(
    ("created_by", "to"),
    [
        ("COPY weights /srv/weights # buildkit", "srv/weights"),
        ("/bin/sh -c #(nop) COPY dir:0f6d2 in /models/ ", "models"),
        ("ADD https://x.example/a.gguf /models/a.gguf # buildkit", "models/a.gguf"),
        ("COPY a b c /data/", "data"),
        ("COPY --chown=1000 --from=base /a /data # buildkit", "data"),
        ("COPY . /", ""),
        ("COPY weights models # buildkit", None),
        ("COPY weights $TO # buildkit", None),
        ('COPY ["a", "/data"]', None),
        ("COPY weights /data/../usr", None),
        ("COPY /data", None),
        ("RUN /bin/sh -c cp -r weights /models # buildkit", None),
        ("/bin/sh -c pip install torch", None),
        ("WORKDIR /models", None),
        ("", None),
    ],
)
def test_destinations(created_by: str, to: str | None) -> None:
    assert destination(created_by) == to


@pytest.mark.parametrize(
    ("path", "may"),
    [
        ("", True),
        ("usr/share/x", True),
        ("opt/venv", True),
        ("root", True),
        ("root/.cache/huggingface", False),
        ("srv/weights", False),
        ("models", False),
        ("usrx", False),
    ],
)
def test_places_of_libraries(path: str, may: bool) -> None:
    assert may_hold_libraries(path) is may


def file(path: str, size: int = 4 * GIB, offset: int = 512, kind: str = "file") -> TarMember:
    return TarMember(path, kind, size, "", offset)  # type: ignore[arg-type]


def test_one_file_that_fills_its_layer() -> None:
    members = [file("blob.bin", 1000)]
    for rest in (1024, 10 << 10):
        assert why_skip("RUN anything", Look(members, 512 + 1024 + rest, 0))
    for plain in (512 + 1024 + (11 << 10), None, 0):
        assert why_skip("RUN anything", Look(members, plain, 0)) is None
    beyond = [file("blob.bin", 5 * GIB)]
    assert why_skip(None, Look(beyond, (512 + 5 * GIB + 1024) % (4 * GIB), 0))


def test_what_is_declared_counts_where_the_look_agrees() -> None:
    weights = Look([file("srv", 0, kind="folder"), file("srv/w/a.bin")], None, 0)
    assert why_skip("COPY w /srv/w", weights)
    assert why_skip("COPY w /srv/other", weights) is None
    assert why_skip("COPY w /opt/w", weights) is None
    assert why_skip("RUN make", weights) is None
    assert why_skip(None, weights) is None
    assert why_skip(None, Look([file("m/a.safetensors")], None, 0))
    assert why_skip(None, Look([file("m/a.safetensors", 10)], None, 0)) is None
    assert why_skip(None, Look([file("usr/lib/a.safetensors")], None, 0)) is None


@pytest.mark.parametrize(
    "odd",
    [
        file("srv/w/libx.so", 10),
        file("srv/w/x-1.dist-info/METADATA", 10),
        file("srv/w/.wh.gone", 0),
        file("srv/w/link", 0, kind="hardlink"),
        file("srv/w/dev", 0, kind="other"),
    ],
)
def test_anything_that_matters_at_the_beginning_has_it_fetched(odd: TarMember) -> None:
    members = [odd, file("srv/w/a.safetensors")]
    for created_by in ("COPY w /srv/w", None):
        assert why_skip(created_by, Look(members, None, 0)) is None
        assert why_skip(created_by, Look([], None, 0)) is None


def test_the_history_belongs_to_the_layers_or_to_none() -> None:
    steps = [Step("ADD a /"), Step("CMD b", empty_layer=True), Step("COPY c /d")]
    assert declared(steps, 2) == ["ADD a /", "COPY c /d"]
    assert declared(steps, 3) == [None, None, None]
    assert declared(None, 1) == [None]


def test_small_layers_are_simply_fetched() -> None:
    assert not worth_a_look("COPY w /models", 1000)
    assert worth_a_look("COPY w /models", LARGE - 1)
    assert not worth_a_look("RUN pip install torch", LARGE - 1)
    assert worth_a_look("RUN pip install torch", LARGE)


@given(st.text(max_size=80) | st.text(st.sampled_from("COPY AD/#(nop)in. $w[\"'"), max_size=80))
def test_any_declaration_is_read(text: str) -> None:
    to = destination(text)
    assert to is None or ".." not in to.split("/")
