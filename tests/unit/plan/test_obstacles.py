"""The error for a host that nothing fits, and where the model goes on one that something does."""

from __future__ import annotations

from typing import Literal

import msgspec
import pytest

from market import MARKET, XLLAMACPP, Market, planned
from sartor.errors import (
    CompilerMissingError,
    DiskFullError,
    IndexUnreachableError,
    ModelTooLargeError,
    NothingFitsError,
    ResolutionError,
    SartorError,
    SystemLibraryMissingError,
)
from sartor.host.describe import parse_host
from sartor.host.model import Host, Tool
from sartor.line import fitted, stack_of
from sartor.models.demo_weights import DEMO_SHAPE
from sartor.models.model import Model
from sartor.models.shape import Attention, Layer, ModelShape
from sartor.plan.known import Known, Unread, Unsolvable, Wanted
from sartor.plan.model import Plan, Request, Stack
from sartor.plan.obstacles import lock_of, why_nothing_fits

WHOLE = "cpu=zen5, arch=x86_64, glibc=2.39, python=3.12, ram=64G, disk=200G, gcc=13.2, g++=13.2"
ZEN = "cpu-only, cpu=zen5"
NONE = Unsolvable("there is no torch==2.14.0")


def refused(
    host: str | Host,
    request: Request = Request(served=True),  # noqa: B008 - it is frozen
    model: Model | None = None,
    market: Market = MARKET,
) -> SartorError:
    """The error of a plan that has no stack; its message, findings and hint are there."""
    found = planned(host, request, model, market)
    assert found.plan.stack is None
    assert found.plan.status != "ready"
    error = why_nothing_fits(found)
    assert error.message
    return error


def model(size: int, form: Literal["gguf", "safetensors"] = "gguf") -> Model:
    data = {"schema": "sartor.model/1", "reference": "m", "format": form, "name": "m"}
    return msgspec.convert({**data, "size_bytes": size}, Model)


def ready(host: str, request: Request, wanted: Model | None = None) -> Plan:
    """The plan, which has a stack."""
    found = planned(host, request, wanted).plan
    assert found.stack
    return found


def stack(host: str, request: Request, wanted: Model | None = None) -> Stack:
    """The planned stack."""
    return stack_of(ready(host, request, wanted))


class TestErrors:
    def test_a_model_that_is_larger_than_the_memory(self) -> None:
        error = refused(f"{ZEN}, ram=16G", model=model(20 << 30))
        assert type(error) is ModelTooLargeError
        assert "20.0 GiB" in error.message
        assert error.hint
        assert "smaller" in error.hint

    def test_no_compiler(self) -> None:
        host = msgspec.structs.replace(parse_host(WHOLE), described=False, compilers=[])
        error = refused(host, Request(engines=("llama.cpp",), build="native"))
        assert type(error) is CompilerMissingError
        assert "cc, c++" in error.message
        assert error.hint
        assert "published build" in error.hint

    def test_too_little_room(self) -> None:
        error = refused(f"{ZEN}, disk=50M")
        assert type(error) is DiskFullError
        assert "110 MB" in error.message
        assert error.hint
        assert "SARTOR_HOME" in error.hint

    def test_a_system_library_that_no_wheel_brings(self) -> None:
        libraries = {"libnuma.so.1": None, "libstdc++.so.6": "/usr/lib/libstdc++.so.6"}
        host = msgspec.structs.replace(parse_host(ZEN), libraries=libraries)
        error = refused(host, Request(engines=("vllm",), served=True))
        assert type(error) is SystemLibraryMissingError
        assert "libnuma.so.1" in error.message
        assert error.hint

    def test_no_consistent_set(self) -> None:
        market = MARKET.with_conflicts().refusing("xllamacpp", NONE)
        error = refused(ZEN, Request(engines=("llama.cpp",)), market=market)
        assert type(error) is ResolutionError
        assert any("torch==2.14.0" in line for line in error.found)

    def test_two_rules_are_no_error_of_one_of_them(self) -> None:
        error = refused("cpu-only, cpu=ivybridge, disk=50M", Request(engines=("llama.cpp",)))
        assert type(error) is NothingFitsError

    def test_a_cpu_that_published_wheels_are_not_for(self) -> None:
        error = refused("cpu-only, cpu=ivybridge", Request(engines=("llama.cpp",)))
        assert type(error) is NothingFitsError
        assert error.hint
        assert "--build native" in error.hint

    def test_an_old_glibc(self) -> None:
        error = refused(f"{ZEN}, glibc=2.12")
        assert type(error) is NothingFitsError
        assert any("glibc" in line for line in error.found)

    def test_no_python_of_a_supported_version(self) -> None:
        tools = [Tool("python", "/usr/bin/python3", "3.6.8")]
        error = refused(msgspec.structs.replace(parse_host(ZEN), pythons=tools))
        assert type(error) is NothingFitsError
        assert any("Python 3.6" in line for line in error.found)

    def test_what_was_not_asked_for_is_not_listed(self) -> None:
        error = refused(f"{ZEN}, glibc=2.12", Request(engines=("llama.cpp",)))
        assert not any("native" in line for line in error.found)

    def test_no_release_of_that_version(self) -> None:
        error = refused("h100, driver=580.95", Request(engines=("vllm==9.9",)))
        assert type(error) is NothingFitsError
        assert "vllm==9.9" in error.message

    def test_the_user_s_own_index_does_not_answer(self) -> None:
        met = IndexUnreachableError(
            "the index does not answer", hint="look at the proxy"
        ).document()
        market = MARKET.not_reached("default", error=met)
        error = refused(ZEN, market=market)
        assert type(error) is IndexUnreachableError
        assert error.hint == "look at the proxy"

    @pytest.mark.parametrize("driver", ["470.10", "535.183"])
    def test_a_driver_that_is_too_old(self, driver: str) -> None:
        error = refused(f"rtx-5090, driver={driver}", Request(engines=("vllm",), build="published"))
        assert type(error) is NothingFitsError
        assert any("driver" in line for line in error.found)


class TestLocks:
    def test_that_of_the_resolver(self) -> None:
        found = planned(ZEN, Request())
        assert lock_of(found) == f"xllamacpp=={XLLAMACPP}\n"

    def test_none_of_a_source_package(self) -> None:
        found = planned(WHOLE, Request(engines=("llama.cpp",), build="native"))
        assert lock_of(found) is None

    def test_a_resolver_that_could_not_be_asked(self) -> None:
        market = MARKET.refusing("xllamacpp", Unread("uv is not there"))
        error = refused(ZEN, Request(engines=("llama.cpp",)), market=market)
        assert type(error) is ResolutionError
        assert any("uv is not there" in line for line in error.found)

    def test_what_it_met_is_the_error(self) -> None:
        met = IndexUnreachableError(
            "the index does not answer", hint="look at the proxy"
        ).document()
        market = MARKET.refusing("xllamacpp", Unread("no answer", met))
        error = refused(ZEN, Request(engines=("llama.cpp",)), market=market)
        assert type(error) is IndexUnreachableError
        assert error.hint == "look at the proxy"


class TestModel:
    def test_its_format_chooses_the_engine(self) -> None:
        served = Request(served=True)
        assert stack("h200, driver=580.95", served, model(1 << 30)).engine == "llama.cpp"
        tensors = model(1 << 30, "safetensors")
        assert stack("h200, driver=580.95", served, tensors).engine == "vllm"

    def test_two_equal_gpus_share_it(self) -> None:
        request = Request(engines=("vllm",))
        found = ready("2x rtx-3090, driver=580.95", request, model(30 << 30, "safetensors"))
        assert found.fit
        assert len(found.fit.devices) == 2

    def test_its_training_bounds_the_context(self) -> None:
        short = msgspec.structs.replace(model(1 << 20), context_length=2048)
        found = ready(ZEN, Request(context=100_000), short)
        assert found.fit
        assert found.fit.context == 2048
        assert any("2048" in warning for warning in found.warnings)

    def test_the_demo_model_s_training_bounds_the_context(self) -> None:
        found = ready(ZEN, Request(context=1_000_000_000))
        assert found.fit
        assert found.fit.context == DEMO_SHAPE.context
        assert any(str(DEMO_SHAPE.context) in warning for warning in found.warnings)
        unasked = ready(ZEN, Request())
        assert unasked.fit
        assert unasked.fit.context == DEMO_SHAPE.context
        assert not any("trained" in warning for warning in unasked.warnings)

    def test_all_sequences_that_room_is_kept_for_count(self) -> None:
        layers = [Layer([Attention(8, 128, 128)])] * 256  # 1 MiB a token
        shape = ModelShape("", layers, hidden=1, vocab=1, weights_bytes=1)
        shaped = msgspec.structs.replace(model(1, "safetensors"), shape=shape)
        request = Request(engines=("vllm",), context=1024)
        on_cpu = ready(f"{ZEN}, ram=64G", request, shaped)
        on_gpu = ready("h200, driver=580.95", request, shaped)
        assert on_cpu.fit
        assert on_gpu.fit
        assert on_cpu.fit.cache_bytes == 4 << 30
        assert on_gpu.fit.cache_bytes == 1 << 30
        assert type(refused(f"{ZEN}, ram=3G", request, shaped)) is ModelTooLargeError

    @pytest.mark.parametrize(("there", "notes"), [(False, 1), (True, 0), (None, 0)])
    def test_a_missing_chat_template_is_said(self, there: bool | None, notes: int) -> None:
        asked = msgspec.structs.replace(model(1 << 20), chat_template=there)
        found = ready(ZEN, Request(), asked)
        assert sum("no chat template" in text for text in found.not_checked) == notes
        plain = msgspec.structs.replace(found, not_checked=[])
        assert len(fitted(fitted(plain, asked), asked).not_checked) == notes


class TestTheMarketIsStrict:
    """What it does not know fails a test, and so does what it was asked before."""

    def test_a_list_that_nobody_made(self) -> None:
        from sartor.plan.known import ListingQuestion

        with pytest.raises(pytest.fail.Exception, match="no list of numpy"):
            MARKET.answer(Wanted(listings=(ListingQuestion("default", "numpy"),)), Known())

    def test_what_was_asked_before(self) -> None:
        from sartor.plan.known import ListingQuestion

        wanted = Wanted(listings=(ListingQuestion("default", "torch"),))
        known = MARKET.answer(wanted, Known())
        with pytest.raises(pytest.fail.Exception, match="asks again"):
            MARKET.answer(wanted, known)

    def test_nothing(self) -> None:
        with pytest.raises(pytest.fail.Exception, match="does not end"):
            MARKET.answer(Wanted(), Known())

    def test_metadata_of_a_file_that_is_not_listed(self) -> None:
        from market import made
        from sartor.plan.known import MetadataQuestion

        question = MetadataQuestion("default", made("torch-9.0-py3-none-any.whl"))
        with pytest.raises(pytest.fail.Exception, match="not listed"):
            MARKET.answer(Wanted(metadata=(question,)), Known())
