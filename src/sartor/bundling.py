"""What is done with a bundle on a target: verify it, install from it, serve from it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sartor.bundle.make import state
from sartor.bundle.take import check, environment, model_path, open_bundle
from sartor.engines.facts import engine
from sartor.errors import ModelTooLargeError, UsageError
from sartor.fit.model import Asked
from sartor.fit.report import report
from sartor.models.demo_weights import DEMO_SHAPE
from sartor.plan.devices import devices
from sartor.plan.memory import decided, question, startable, within_training
from sartor.plan.model import Fit, Plan, Rejected, Request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sartor.build.model import Environment
    from sartor.bundle.model import BundleState
    from sartor.bundle.take import Opened
    from sartor.host.model import Host
    from sartor.line import UpRequest
    from sartor.models.model import Model
    from sartor.paths import Places
    from sartor.plan.model import Device, Stack
    from sartor.reporter import Reporter


def check_bundle(folders: Sequence[str]) -> BundleState:
    """Verify a bundle; `BundleDamagedError` names every part and file that is not whole."""
    opened = open_bundle(folders)
    check(opened)
    return state("checked", opened.bundle, opened.folders)


def install_bundle(
    folders: Sequence[str],
    description: str | None,
    python: str | None,
    places: Places,
    reporter: Reporter,
) -> BundleState:
    """Build the environment of a bundle, and verify it where it is for this machine.

    With a ``description`` it is installed for that machine: what is loaded here proves nothing of
    it, and *not checked* is said. Raises the errors of `sartor.bundle.take.environment`, and
    `VerifyError`.
    """
    from sartor.line import find_host
    from sartor.verify.kept import verified

    opened = open_bundle(folders)
    host = find_host(description, places)
    began = time.perf_counter()
    reporter.stage("build")
    found, reused = environment(opened, host, places, reporter, python=python)
    words = "environment reused" if reused else f"{len(found.packages)} packages installed"
    reporter.done("build", f"{words} in {found.path}", time.perf_counter() - began)
    grade = None
    if not host.described:
        began = time.perf_counter()
        reporter.stage("verify")
        grade = verified(found, host, reporter).grade
        reporter.done("verify", f"grade {grade}", time.perf_counter() - began)
    return state(
        "installed",
        opened.bundle,
        opened.folders,
        environment=found.path,
        reused=reused,
        grade=grade,
    )


def planned_from(
    opened: Opened, host: Host, asked: UpRequest, model: Model | None, built: Environment
) -> Plan:
    """The plan that a bundle stands for on ``host``: its stack, and the place for the model.

    Raises `ModelTooLargeError`.
    """
    stack = built.stack
    lock = f"{stack.label}, from a bundle of sha256 {opened.bundle.digest[:16]}"
    return Plan(
        host="this machine",
        request=Request(context=asked.want.context, served=True),
        status="ready",
        model=None if model is None else model.reference,
        stack=stack,
        because=[lock, *opened.bundle.notes],
        fit=_place(stack, host, asked.want.context, model, opened.bundle.host.gpus),
        not_checked=["whether anything was published since: no index is asked"],
    )


def model_of(opened: Opened, asked: str | None, places: Places) -> str | None:
    """What is served: what was asked for, else the bundle's own model; None: the demo model.

    Raises `UsageError` where the bundle has a configuration without weights.
    """
    if asked is not None:
        return asked
    found = model_path(opened, places)
    stated = opened.bundle.model
    if found is None and stated is not None:
        raise UsageError(
            f"the bundle has the configuration of {stated.name}, and not its weights",
            hint="name the folder or file that has them: `--model`",
        )
    return found


def _place(
    stack: Stack, host: Host, wanted: int | None, model: Model | None, gpus: list[str]
) -> Fit:
    """Where the model goes: on GPUs of the kinds that the stack was chosen for, or on the CPU."""
    facts = engine(stack.engine)
    trained = model.context_length if model else DEMO_SHAPE.context
    context = within_training(wanted or facts.default_context, trained)
    usable: list[Device] | None = None
    if stack.accelerator == "cuda":
        usable = [one for one in devices(host) if one.compute_capability in gpus]
    if model is None or usable == []:
        return Fit(context=context, devices=(usable or [])[:1])
    fraction = 1.0 if usable is None else facts.default_gpu_memory_fraction
    asked = Asked(context, facts.sequences[stack.accelerator], fraction)
    place, decision = decided(
        model, report(startable(question(model, facts, asked, host, usable))), usable, context
    )
    if isinstance(decision, Rejected):
        raise ModelTooLargeError(
            f"the model does not fit: it needs {decision.wanted} at least, and there is "
            f"{decision.found}",
            hint=decision.hint,
        )
    return place
