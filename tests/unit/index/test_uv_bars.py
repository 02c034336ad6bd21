"""Reading uv's progress bars, and not choking on a screen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartor.index.uv import bars

MIB = 1 << 20


LONG_BAR = "-" * 30
TWO = "⠙ Preparing packages... (1/3)   torch  ---  1.5 GiB/2 GiB   nvidia-cublas --- 1 KiB/2 KiB"


@pytest.mark.parametrize(
    ("screen", "expected"),
    [
        ("", {}),
        ("Resolved 148 packages in 2.35s", {}),
        (f"xllamacpp           {LONG_BAR}     0 B/32.26 MiB", {"xllamacpp": (0, 32.26 * MIB)}),
        ("numpy               ━━━━━━━ 8 MiB/16 MiB", {"numpy": (8 * MIB, 16 * MIB)}),
        (TWO, {"torch": (1536 * MIB, 2048 * MIB), "nvidia-cublas": (1024, 2048)}),
        ("0 B/1 B", {}),
    ],
)
def test_bars(screen: str, expected: dict[str, tuple[float, float]]) -> None:
    assert bars(screen) == expected


def test_a_wide_screen_of_blanks_is_read_at_once() -> None:
    """Quadratic patterns take minutes on this; the test would not end."""
    assert bars("a " * 50_000 + " " * 200_000 + "-" * 200_000) == {}


@given(st.text(alphabet=" -━0123456789./KMGiBabc", max_size=300))
def test_any_text_gives_sizes_that_are_not_negative(text: str) -> None:
    assert all(done >= 0 and total >= 0 for done, total in bars(text).values())
