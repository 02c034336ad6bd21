"""Environments that are there come first, and want neither an index nor room."""

from __future__ import annotations

import msgspec

from market import MARKET, X86, XLLAMACPP, Market, against, made, plan, planned, version
from sartor.host.describe import parse_host
from sartor.plan.model import Request, Stack
from sartor.plan.planner import Built

ZEN = "cpu-only, cpu=zen5"
NEWER = "2026.11.1"


def newer() -> Market:
    """The market with a newer xllamacpp for the CPU."""
    return MARKET.also(made(f"xllamacpp-{NEWER}-cp312-cp312-{X86}.whl"))


class TestBuilt:
    """Environments that are there come first, and want neither an index nor room."""

    HOST = parse_host(f"{ZEN}, disk=50M")
    ROOMY = parse_host(ZEN)

    def built(self, python: str | None = None) -> dict[Built, Stack]:
        stack = plan(self.ROOMY, "llama.cpp", python=python).stack
        assert stack
        two = ".".join(str(stack.python.version).split(".")[:2])
        return {Built(stack.engine, stack.line, stack.version, two): stack}

    def test_it_needs_no_room_and_no_index(self) -> None:
        request = Request(engines=("llama.cpp",))
        assert planned(self.HOST, request).plan.stack is None
        built = self.built()
        found = planned(self.HOST, request, built=built)
        assert found.is_built
        assert found.plan.stack == next(iter(built.values()))
        assert found.resolution is None

    def test_it_is_taken_before_a_newer_release(self) -> None:
        market = newer()
        built = self.built()
        found = planned(self.ROOMY, Request(), market=market, built=built)
        assert version(found.plan) == XLLAMACPP
        assert found.is_built
        upgraded = planned(self.ROOMY, Request(), market=market, built={})
        assert version(upgraded.plan) == NEWER
        assert not upgraded.is_built

    def test_not_where_another_version_is_asked_for(self) -> None:
        request = Request(engines=(f"llama.cpp=={NEWER}",))
        found = planned(self.ROOMY, request, market=newer(), built=self.built())
        assert version(found.plan) == NEWER
        assert not found.is_built

    def test_one_for_another_python_does_not_count(self) -> None:
        built = self.built(python="3.11")
        request = Request(engines=("llama.cpp",), python="3.12")
        assert planned(self.HOST, request, built=built).plan.stack is None
        for same in ("3.11", "3.11.9", None):
            request = Request(engines=("llama.cpp",), python=same)
            assert planned(self.HOST, request, built=built).is_built

    def test_a_glibc_that_is_no_version_is_no_reason_against_it(self) -> None:
        odd = msgspec.structs.replace(self.HOST, glibc="musl")
        market = MARKET.listing("xllamacpp")
        found = planned(odd, Request(engines=("llama.cpp",)), market=market, built=self.built())
        assert found.is_built

    def test_it_is_judged_for_this_host_all_the_same(self) -> None:
        """A CPU without AVX2 runs no environment that was made for one with it."""
        old = parse_host("cpu-only, cpu=ivybridge")
        found = planned(old, Request(engines=("llama.cpp",)), built=self.built())
        assert found.plan.stack is None
        assert "cpu-isa" in against(found.plan, XLLAMACPP)
