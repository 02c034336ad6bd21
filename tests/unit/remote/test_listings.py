"""How long an answer may be used, and which pages may be kept; no clock, no network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartor.index.wheels import IndexFile
from sartor.paths import Places
from sartor.remote.address import address_digest, bare_url, moment, safe_url
from sartor.remote.listings import MOST_FRESH, Listings, Page, fresh_for, is_keepable
from sartor.reporter import Silent

if TYPE_CHECKING:
    from pathlib import Path

HALF_PAST = "Thu, 01 Jan 1970 00:30:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, MOST_FRESH),
        ({"cache-control": "max-age=30"}, 30),
        ({"cache-control": 'Public , Max-Age="30"'}, 30),
        ({"cache-control": "max-age=30, s-maxage=9"}, 30),
        ({"cache-control": "max-age=99999999"}, MOST_FRESH),
        ({"cache-control": "max-age=30", "age": "12"}, 18),
        ({"cache-control": "max-age=30", "age": "40"}, 0),
        ({"cache-control": "max-age=x"}, 0),
        ({"cache-control": "max-age=-5"}, 0),
        ({"cache-control": "no-cache, max-age=30"}, 0),
        ({"cache-control": "max-age=30, no-store"}, None),
        ({"expires": HALF_PAST, "date": "Thu, 01 Jan 1970 00:29:00 GMT"}, 60),
        ({"expires": HALF_PAST}, 100),
        ({"expires": "0"}, 0),
        ({"expires": HALF_PAST, "cache-control": "max-age=5"}, 5),
        ({"vary": "*"}, 0),
        ({"vary": "Accept"}, MOST_FRESH),
    ],
)
def test_freshness(headers: dict[str, str], seconds: float | None) -> None:
    assert fresh_for(headers, now=1700.0) == seconds


@given(st.dictionaries(st.sampled_from(["cache-control", "age", "expires", "date"]), st.text()))
def test_no_header_makes_it_longer(headers: dict[str, str]) -> None:
    found = fresh_for(headers, now=0.0)
    assert found is None or 0 <= found <= MOST_FRESH


@given(st.floats(0, 1e10), st.floats(-1e4, 1e10), st.floats(0, 1e9))
def test_fresh_is_never_longer_than_the_cap(asked: float, now: float, seconds: float) -> None:
    page = Page(asked_at=asked, fresh_for=seconds)
    assert not page.is_fresh(now) or 0 <= now - asked < MOST_FRESH


def test_a_page_with_what_may_be_secret_is_not_kept() -> None:
    def page(url: str) -> Page:
        return Page(files=[IndexFile("a.whl", url)], asked_at=0.0)

    assert is_keepable(page("https://x.example/a.whl"))
    assert is_keepable(Page(asked_at=0.0))
    for url in ("https://me:pw@x.example/a.whl", "https://x.example/a.whl?sig=t"):
        assert not is_keepable(page(url))


def test_what_comes_back_is_of_that_place_and_project(tmp_path: Path) -> None:
    kept = Listings(Places(tmp_path).listings, Silent())
    page = Page(files=[IndexFile("a.whl", "https://x.example/a.whl", 5)], asked_at=3.0, etag='"e"')
    kept.put("https://me:pw@x.example/simple", "a", page)
    assert kept.get("https://x.example/simple", "a") == page
    assert kept.get("https://x.example/simple", "b") is None
    assert kept.get("https://x.example/other", "a") is None
    assert kept.get(None, "a") is None
    kept.put("https://x.example/simple?token=t", "a", page)
    assert kept.get("https://x.example/simple?token=t", "a") is None
    assert Listings(None, Silent()).get("https://x.example/simple", "a") is None
    unkept = Page(asked_at=4.0, fresh_for=None)
    kept.put("https://x.example/simple", "a", unkept)
    assert kept.get("https://x.example/simple", "a") is None


def test_addresses() -> None:
    one = "https://me:pw@x.example:8443/a/b.whl?sig=t#sha256=0"
    assert bare_url(one) == safe_url(one) == "https://x.example:8443/a/b.whl"
    assert bare_url("http://[::1") is None
    assert address_digest(one) == address_digest("https://x.example:8443/a/b.whl")
    assert len(address_digest("http://[::1")) == 16
    assert moment("Thu, 01 Jan 1970 00:01:00 GMT") == 60
    assert moment("soon") is moment(None) is None
