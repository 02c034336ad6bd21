"""The whole line: detect, plan, build, verify, serve. `sartor up` is this module and its talk."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sartor.errors import ServerDiedError
from sartor.paths import make_folder
from sartor.plan.model import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sartor.build.model import Environment
    from sartor.host.model import Host
    from sartor.models.model import Model
    from sartor.paths import Places
    from sartor.plan.model import Fit, Plan, Stack
    from sartor.plan.planned import Planned
    from sartor.reporter import Reporter
    from sartor.serve.model import Endpoint
    from sartor.serve.start import Server, ServeRequest
    from sartor.slim.choice import Wanted


PORT_TRIES = 3


class UpRequest(msgspec.Struct, frozen=True):
    """What `sartor up` was asked for. ``host`` is a description; None means this machine.

    ``model`` is what the user typed; None means the demo model. ``upgrade``: an
    environment that is there is no reason to stay with its release. ``bundles`` are the folders
    of a bundle, which is served from in place of a plan. ``slim``: the environment's packages are
    reduced to this machine's GPUs.
    """

    want: Request = Request(served=True)
    model: str | None = None
    host: str | None = None
    upgrade: bool = False
    bundles: tuple[str, ...] = ()
    slim: bool = False


@contextmanager
def _stage(reporter: Reporter, name: str, detail: str = "") -> Iterator[list[str]]:
    """One stage: what is appended to the yielded list becomes its closing words."""
    reporter.stage(name, detail)
    began = time.perf_counter()
    words: list[str] = []
    yield words
    reporter.done(name, "; ".join(words), time.perf_counter() - began)


def make_plan(
    asked: UpRequest, places: Places, reporter: Reporter
) -> tuple[Host, Model | None, Planned]:
    """Detect (or read the description), look the model up, and plan. Nothing is built.

    The model is None for the demo model, which is made once the engine's format is known. Raises
    the error of the rule that stood in the way where nothing fits.
    """
    from sartor.build.environment import built
    from sartor.host.summary import summary
    from sartor.plan.obstacles import why_nothing_fits
    from sartor.planning import plan_with_catalog

    with _stage(reporter, "detect") as words:
        host = find_host(asked.host, places)
        words.append(summary(host))
        reporter.detail(msgspec.json.encode(host).decode())
    with _stage(reporter, "plan") as words:
        model = look_up(asked.model, places, reporter)
        there = {} if host.described or asked.upgrade else built(places, reduced_to(asked, host))
        stacks = {key: environment.stack for key, environment in there.items()}
        planned = plan_with_catalog(host, asked.want, model, places, reporter, built=stacks)
        reporter.detail(msgspec.json.encode(planned.plan).decode())
        if planned.plan.stack is None:
            raise why_nothing_fits(planned)
        words.append(planned.plan.stack.label)
    for text in planned.plan.warnings:
        reporter.warn(text)
    return host, model, planned


def find_host(description: str | None, places: Places, capture: str | None = None) -> Host:
    """The described host, or this machine; what was read of it goes raw into ``capture``."""
    if description is not None:
        from sartor.host.describe import parse_host

        return parse_host(description)
    from sartor.host.detect import detect
    from sartor.host.machine import RealMachine

    machine = RealMachine()
    if capture is None:
        return detect(machine, places)
    from sartor.host.record import record

    return record(machine, places, Path(capture))


def look_up(reference: str | None, places: Places, reporter: Reporter) -> Model | None:
    """The model as far as it can be known without fetching weights; None for the demo model."""
    from sartor.models.resolve import DEMO, resolve

    return None if reference in {None, DEMO} else resolve(reference, places, reporter)


def reduced_to(asked: UpRequest, host: Host) -> list[str]:
    """The architectures that an environment is reduced to; none: it is not."""
    return _wanted(host).gpus if asked.slim else []


def _wanted(host: Host) -> Wanted:
    """What is kept for a machine's GPUs."""
    from sartor.slim.choice import Wanted
    from sartor.verdict.model import Target
    from sartor.verdict.targets import architecture

    found = {gpu.compute_capability for gpu in host.gpus} - {None}
    known = sorted((str(one) for one in found), key=lambda one: [int(n) for n in one.split(".")])
    return Wanted(tuple(Target(architecture(one), one) for one in known))


def prepare(
    planned: Planned, host: Host, places: Places, reporter: Reporter, *, slim: bool = False
) -> Environment:
    """Build the planned environment, or find it, and verify it.

    ``slim``: it is reduced to the GPUs of ``host``, before it is proved.
    """
    from sartor.build.environment import ensure
    from sartor.plan.obstacles import lock_of

    stack, reduce = stack_of(planned.plan), None
    if slim and stack.accelerator == "cuda" and _wanted(host).targets:
        stack, reduce = slimmed_stack(stack, host, reporter)
    elif slim:
        reporter.note("nothing to slim: the stack computes on the CPU")
    with _stage(reporter, "build") as words:
        environment, reused = ensure(stack, lock_of(planned), places, reporter, reduce=reduce)
        words.append(_how_built(environment, reused=reused))
    _verified(environment, host, reporter)
    return environment


def slimmed_stack(
    stack: Stack, host: Host, reporter: Reporter
) -> tuple[Stack, Callable[[Path], object]]:
    """The stack that says what it is reduced to, and what reduces its environment.

    Nothing is kept for undoing: without `--slim` another environment is made.
    """
    from sartor.slimming.environment import InPlaceRequest, slim_environment

    request = InPlaceRequest(_wanted(host), keeping=False)
    stack = msgspec.structs.replace(stack, slimmed_to=request.wanted.gpus)
    return stack, lambda folder: slim_environment(folder, request, reporter)


def _how_built(environment: Environment, *, reused: bool) -> str:
    what = "environment reused" if reused else f"{len(environment.packages)} packages installed"
    return f"{what} in {environment.path}"


def _verified(environment: Environment, host: Host, reporter: Reporter) -> None:
    from sartor.verify.kept import verified

    with _stage(reporter, "verify") as words:
        report = verified(environment, host, reporter)
        words.append(f"grade {report.grade}; kernels: not checked")


def taken(
    asked: UpRequest, places: Places, reporter: Reporter
) -> tuple[Host, Model | None, Plan, Environment]:
    """In place of planning: the stack of a bundle built and verified, and its model. Offline."""
    from sartor.bundle.take import environment, open_bundle
    from sartor.bundling import model_of, planned_from
    from sartor.host.summary import summary

    with _stage(reporter, "detect") as words:
        host = find_host(None, places)
        words.append(summary(host))
    with _stage(reporter, "bundle") as words:
        opened = open_bundle(asked.bundles)
        built, reused = environment(opened, host, places, reporter)
        words.append(_how_built(built, reused=reused))
        model = look_up(model_of(opened, asked.model, places), places, reporter)
    _verified(built, host, reporter)
    return host, model, planned_from(opened, host, asked, model, built), built


def at_hand(planned: Plan, model: Model | None, places: Places, reporter: Reporter) -> Model:
    """The model on this machine: the demo model made, one from the hub fetched."""
    from sartor.engines.facts import engine
    from sartor.models.hub import fetch
    from sartor.models.resolve import resolve_demo

    with _stage(reporter, "model") as words:
        if model is None:
            form = engine(stack_of(planned).engine).formats[0]
            model = resolve_demo(places, reporter, form)
            words.append(f"demo model with random weights: its text means nothing ({model.path})")
        elif model.path is None:
            model = fetch(model, reporter)
            words.append(f"{model.reference} in {model.path}")
        else:
            words.append(str(model.path))
    return model


@contextmanager
def up(
    asked: UpRequest, serving: ServeRequest, places: Places, reporter: Reporter
) -> Iterator[tuple[Endpoint, Server | None]]:
    """The whole line on this machine: an endpoint that answers, and the server if it is new.

    The server ends with the block unless it was detached. What killed runs left is cleaned first.
    """
    from sartor.serve.address import needs_key
    from sartor.serve.runs import clean_lost

    for name in clean_lost(places):
        reporter.note(f"cleaned up {name}, which had ended or was killed")
    if asked.bundles:
        host, model, planned, environment = taken(asked, places, reporter)
    else:
        host, model, found = make_plan(asked, places, reporter)
        environment = prepare(found, host, places, reporter, slim=asked.slim)
        planned = found.plan
    model = at_hand(planned, model, places, reporter)
    plan = fitted(planned, model)
    if host.containers.inside and not needs_key(serving.host):
        reporter.note(
            f"inside {host.containers.inside}, {serving.host} is reached from in here alone; "
            "for the machine around it: `--listen 0.0.0.0`, the port published on its 127.0.0.1"
        )
    with served(plan, environment, model, serving, places, reporter) as result:
        yield result


def fitted(planned: Plan, model: Model) -> Plan:
    """The plan for the very model at hand: one is made, or fetched and read, after planning."""
    from sartor.engines.facts import engine
    from sartor.plan.conclusion import unsaid
    from sartor.plan.memory import refitted

    stack = stack_of(planned)
    fit = refitted(place_of(planned), model, engine(stack.engine), stack.accelerator)
    open_questions = list(dict.fromkeys([*planned.not_checked, *unsaid(model)]))
    return msgspec.structs.replace(planned, fit=fit, not_checked=open_questions)


def stack_of(planned: Plan) -> Stack:
    """The stack of a plan that has one."""
    if planned.stack is None:
        raise ValueError("nothing fits: there is no stack in that plan")
    return planned.stack


def place_of(planned: Plan) -> Fit:
    """Where the model goes, of a plan that has a stack."""
    if planned.fit is None:
        raise ValueError("nothing fits: there is no place in that plan")
    return planned.fit


@contextmanager
def served(
    planned: Plan,
    environment: Environment,
    model: Model,
    asked: ServeRequest,
    places: Places,
    reporter: Reporter,
) -> Iterator[tuple[Endpoint, Server | None]]:
    """Serve the model and ask it one question; the server ends with the block unless detached.

    Where the same server runs already its endpoint is returned, and no `Server`: it is not ours to
    end. Two that want the same at once wait for each other.
    """
    from sartor.locks import waiting_lock
    from sartor.serve import runs
    from sartor.serve.start import ask_again, run_key, start

    key = run_key(environment, model, place_of(planned), asked)
    make_folder(places.runs, mode=0o700)
    with ExitStack() as stack:
        path = places.runs / f".{key}.lock"
        lock = stack.enter_context(waiting_lock(path, reporter, "starting the same server"))
        endpoint, server = runs.endpoint(places, key, asked.port), None
        if endpoint is None:
            begin = partial(start, environment, model, place_of(planned), asked, places)
            tries = PORT_TRIES if asked.port is None else 1
            endpoint, server = _started(begin, tries, planned, model, stack, reporter)
        else:
            with _stage(reporter, "ask", "a server that runs already") as words:
                answer = ask_again(endpoint)
                words.append(f"{answer.completion_tokens} tokens came back")
            endpoint = msgspec.structs.replace(endpoint, reused=True, answer=answer)
        lock.release()
        yield endpoint, server


def _started(
    begin: Callable[[], tuple[Server, str | None]],
    tries: int,
    planned: Plan,
    model: Model,
    stack: ExitStack,
    reporter: Reporter,
) -> tuple[Endpoint, Server]:
    """A new server that answers, to be ended by ``stack``.

    Between choosing a port and listening on it a stranger may take it: then another is chosen.
    """
    with ExitStack() as own:
        server, remark = begin()
        own.enter_context(server)
        if remark:
            reporter.note(remark)
        try:
            endpoint = _answering(planned, server, model, reporter)
        except ServerDiedError:
            if tries <= 1 or not server.lost_its_port():
                raise
        else:
            stack.push(own.pop_all())
            return endpoint, server
    reporter.note(f"port {server.run.port} was taken by another program meanwhile")
    return _started(begin, tries - 1, planned, model, stack, reporter)


def _answering(planned: Plan, server: Server, model: Model, reporter: Reporter) -> Endpoint:
    from sartor.serve.ask import QUESTION
    from sartor.serve.model import Endpoint

    with _stage(reporter, "serve", model.name) as words:
        server.wait_until_ready(model, reporter)
        words.append(f"{server.run.engine} listens on {server.run.host}, port {server.run.port}")
    with _stage(reporter, "ask", QUESTION) as words:
        answer = server.ask()
        words.append(f"{answer.completion_tokens} tokens came back")
    run = server.run
    endpoint = Endpoint(
        id=run.id,
        url=server.url,
        engine=run.engine,
        version=run.version,
        build=run.build,
        model=run.model,
        environment=run.environment,
        because=planned.because,
        log=run.log,
        pid=server.pid,
        started_at=run.started_at,
        demo=model.demo,
        warnings=planned.warnings,
        not_checked=planned.not_checked,
        api_key_file=run.api_key_file,
        answer=answer,
    )
    server.publish(endpoint)
    return endpoint
