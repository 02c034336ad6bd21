"""`sartor fit`: look a model up, look at a machine, ask the `fit` room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sartor.errors import UsageError

if TYPE_CHECKING:
    from sartor.engines.facts import EngineFacts
    from sartor.fit.model import Asked, FitReport
    from sartor.host.model import Host
    from sartor.models.shape import ModelShape
    from sartor.paths import Places
    from sartor.reporter import Reporter


class FitRequest(msgspec.Struct, frozen=True):
    """What was asked: a ``model`` as typed, or a ``shape`` in words; the rest None for defaults.

    ``host`` is a description; None means this machine.
    """

    model: str | None = None
    shape: str | None = None
    host: str | None = None
    engine: str | None = None
    context: int | None = None
    concurrency: int = 1
    fraction: float | None = None
    cache_type: str = "auto"
    batched: int | None = None
    sequences: int | None = None


def fit_model(request: FitRequest, places: Places, reporter: Reporter) -> FitReport:
    """The answer. Raises what looking up a model and describing a host raise."""
    from sartor.engines.facts import engine as engine_facts
    from sartor.fit.model import Asked
    from sartor.fit.report import Question, report
    from sartor.host.summary import summary
    from sartor.line import find_host
    from sartor.plan.devices import devices

    named = engine_facts(request.engine) if request.engine else None
    name, shape = shape_of(request, named, places, reporter)
    engine = named or _engine_for(shape)
    _check_format(engine, shape)
    host = find_host(request.host, places)
    found = [device for device in devices(host) if device.memory_bytes]
    asked = Asked(
        _context(request, engine, shape),
        request.concurrency,
        _fraction(request, engine, on_gpu=bool(found)),
        request.cache_type,
        request.batched,
        request.sequences,
    )
    question = Question(
        name,
        shape,
        engine.name,
        engine.split,
        summary(host),
        found,
        asked,
        host.memory.available_bytes or host.memory.total_bytes,
        on_cpu=not found,
    )
    return with_remarks(report(question), asked, shape, host)


def with_remarks(found: FitReport, asked: Asked, shape: ModelShape | None, host: Host) -> FitReport:
    """The report with what should be known besides."""
    remarks = list(found.not_checked)
    trained = shape.max_context if shape else None
    if trained and asked.context > trained:
        remarks.append(f"context: the model was trained for {trained} tokens, and no more")
    if any(gpu.memory_bytes is None for gpu in host.gpus if gpu.mig is None):
        remarks.append("memory: that of a GPU is not known; it was left out")
    if host.gpus:
        remarks.append("free memory: what other programs hold on the GPUs is not counted")
    return msgspec.structs.replace(found, not_checked=remarks)


def shape_of(
    request: FitRequest, engine: EngineFacts | None, places: Places, reporter: Reporter
) -> tuple[str, ModelShape | None]:
    """The model's name and shape: from ``--shape``, a configuration alone, or a model."""
    from sartor.models.configured import configuration_in, shape_in

    if request.shape is not None:
        from sartor.models.shape_text import text_shape

        if request.model is not None:
            raise UsageError(
                "a model was named and `--shape` was given", hint="leave one of the two out"
            )
        return request.shape, text_shape(request.shape)
    if request.model is not None and (path := configuration_in(request.model)) is not None:
        return request.model, shape_in(path)
    from sartor.models.resolve import resolve
    from sartor.models.shape import sized

    form = engine.formats[0] if engine else None
    model = resolve(request.model, places, reporter, form)
    return model.reference, model.shape or sized(model.size_bytes, model.block_count, model.format)


def _engine_for(shape: ModelShape | None) -> EngineFacts:
    """The first engine that serves the format; a shape in words is taken as safetensors."""
    from sartor.engines.facts import engines

    form = "gguf" if shape is not None and shape.format == "gguf" else "safetensors"
    return next(engine for engine in engines() if form in engine.formats)


def _check_format(engine: EngineFacts, shape: ModelShape | None) -> None:
    if shape is None or shape.format == "stated" or shape.format in engine.formats:
        return
    raise UsageError(
        f"`{engine.name}` does not serve {shape.format} models",
        found=[f"it serves {', '.join(engine.formats)}"],
        hint="leave `--engine` out, or name a model in that format",
    )


def _context(request: FitRequest, engine: EngineFacts, shape: ModelShape | None) -> int:
    """What was asked for, else the engine's default within training."""
    trained = shape.max_context if shape else None
    usual = min(engine.default_context, trained) if trained else engine.default_context
    return request.context or usual


def _fraction(request: FitRequest, engine: EngineFacts, *, on_gpu: bool) -> float:
    if request.fraction is not None:
        return request.fraction
    return engine.default_gpu_memory_fraction if on_gpu else 1.0
