"""What a target names; how addresses are shown; what servers ask for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartor.remote.address import number, safe_url
from sartor.remote.http import retry_after
from sartor.remote.reference import remote_target


@pytest.mark.parametrize(
    ("text", "is_there", "kind"),
    [
        ("vllm", False, "project"),
        ("vllm", True, "path"),
        ("vllm==0.32.0", False, "project"),
        ("sgl-kernel[all] >=0.3,<1", False, "project"),
        ("./vllm", False, "path"),
        ("folder/vllm", False, "path"),
        ("vllm-0.32.0-cp38-abi3-manylinux_2_28_x86_64.whl", False, "path"),
        ("libx.so.1", False, "path"),
        ("image:tag", False, "path"),
        ("https://x.example/a.whl", False, "address"),
        ("a @ https://x.example/a.whl", False, "address"),
        ("HTTPS://x.example/a.whl", True, "address"),
        ("", False, "path"),
    ],
)
def test_targets(text: str, is_there: bool, kind: str) -> None:
    found = remote_target(text, is_there=is_there)
    assert kind == {type(None): "path", str: "address"}.get(type(found), "project")


def test_an_address_is_shown_without_what_is_secret() -> None:
    assert safe_url("https://me:pw@x.example:8443/a/b.whl?sig=t#sha256=0") == (
        "https://x.example:8443/a/b.whl"
    )
    assert safe_url("http://[::1]:80/a\x1b[31m") == "http://[::1]:80/a[31m"


@given(st.text(max_size=60))
def test_no_text_shows_more(text: str) -> None:
    shown = safe_url(f"https://me:s3cret@x.example/a?t0ken={text}")
    assert "s3cret" not in shown
    assert "t0ken" not in shown
    assert safe_url(text).isprintable()


@given(st.text(max_size=40) | st.from_regex(r"[0-9]{1,30}", fullmatch=True))
def test_any_header_is_a_number_or_none(text: str) -> None:
    seconds = retry_after(text, 0.0)
    assert seconds is None or seconds >= 0
    assert number(text) is None or number(text) == int(text)


def test_what_retry_after_says() -> None:
    assert retry_after("7", 0) == 7
    assert retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 20) == 40
    assert retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 90) == 0
    assert retry_after("soon", 0) is None
    assert retry_after(None, 0) is None
