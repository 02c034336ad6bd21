"""Checks that end badly, in real processes: each is named, and the others are made."""

from __future__ import annotations

import sys
import threading
from textwrap import dedent
from typing import TYPE_CHECKING

import psutil
import pytest
from msgspec.structs import replace

from sartor.verify.child import KEPT_BYTES, Program, run
from sartor.verify.model import Failed, NotApplicable, NotChecked, Passed

if TYPE_CHECKING:
    from pathlib import Path

    from sartor.verify.model import Grade, Outcome

HEAD = """
import ctypes, os, signal, subprocess, sys, time
from sartor_checks import Check, Measure, NotMade, NothingToCheck, Result, judged
"""


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """A program whose module is written by the test: an interpreter that knows it beforehand."""
    python = tmp_path / "python"
    python.write_text(
        dedent(f"""\
        #!{sys.executable}
        import runpy, sys
        from pathlib import Path
        loop = sys.argv[2]
        sys.path.append(str(Path(loop).parent.parent))
        import sartor_checks
        sartor_checks.__path__.append({str(tmp_path)!r})
        sys.argv = [loop]
        runpy.run_path(loop, run_name="__main__")
        """)
    )
    python.chmod(0o755)
    return Program(module="written", label="start it", python=python, grade="loads")


def made(program: Program, body: str, checks: str) -> dict[str, Outcome]:
    """Run the checks of a module with ``body``; what became of each."""
    text = f"{HEAD}\n{dedent(body)}\n\ndef checks(settings):\n    return [{checks}]\n"
    program.python.with_name("written.py").write_text(text)
    return {found.check: found for found in run(program)}


def good(*names: str) -> str:
    return ", ".join(f"Check({name!r}, 'launches', lambda: 'fine')" for name in names)


def bad(call: str, seconds: float = 20) -> str:
    return f"{good('before')}, Check('bad', 'launches', lambda: {call}, {seconds}), {good('after')}"


def failed(found: dict[str, Outcome]) -> Failed:
    """The bad one, when the others passed."""
    assert list(found) == ["before", "bad", "after"]
    assert all(isinstance(found[name], Passed) for name in ("before", "after"))
    outcome = found["bad"]
    assert isinstance(outcome, Failed)
    return outcome


def test_a_crash_is_named_by_its_signal(program: Program) -> None:
    outcome = failed(made(program, "", bad("ctypes.string_at(0)")))
    assert "ended by SIGSEGV" in outcome.detail


def test_what_it_said_last_is_kept(program: Program) -> None:
    body = "def talk():\n    print('the last words', file=sys.stderr, flush=True)\n    os.abort()"
    outcome = failed(made(program, body, bad("talk()")))
    assert "the last words" in outcome.detail
    assert outcome.detail.endswith("ended by SIGABRT")


def test_a_hang_is_ended_with_all_that_it_started(program: Program) -> None:
    marker = "61.25"
    outcome = failed(made(program, "", bad(f"subprocess.run(['sleep', '{marker}'])", 1)))
    assert "did not end within 1 s" in outcome.detail
    assert not [p for p in psutil.process_iter(["cmdline"]) if marker in (p.info["cmdline"] or [])]


def test_one_that_ignores_sigterm_is_ended_too(program: Program) -> None:
    body = "def stay():\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    time.sleep(600)"
    assert "did not end within 1 s" in failed(made(program, body, bad("stay()", 1))).detail


def test_a_flood_of_output_is_no_failure(program: Program) -> None:
    body = "def flood():\n    os.write(1, b'x' * (1 << 24))\n    return 'said much'"
    found = made(program, body, bad("flood()"))
    assert isinstance(found["bad"], Passed)
    assert found["bad"].detail == "said much"


def test_of_a_flood_and_a_crash_the_end_is_kept(program: Program) -> None:
    body = "def flood():\n    os.write(2, b'x' * (1 << 22) + b' the end')\n    os._exit(7)"
    outcome = failed(made(program, body, bad("flood()")))
    assert outcome.detail.endswith("the end\nended with status 7")
    assert len(outcome.detail) <= KEPT_BYTES + 100


def test_a_poisoned_process_is_left(program: Program) -> None:
    body = """
    HERE = [os.getpid()]
    def poison():
        HERE[0] = None
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    def clean():
        assert HERE[0] == os.getpid()
    """
    checks = "Check('bad', 'launches', poison), Check('next', 'launches', clean)"
    found = made(program, body, checks)
    assert isinstance(found["bad"], Failed)
    assert "illegal memory access" in found["bad"].detail
    assert isinstance(found["next"], Passed)


def test_of_an_error_of_cuda_what_matters_is_kept(program: Program) -> None:
    body = """
    WORDS = (
        "CUDA error: no kernel image is available for execution on the device\\n"
        "Search for `cudaErrorNoKernelImageForDevice' in https://docs.nvidia.com\\n"
        "CUDA kernel errors might be asynchronously reported at some other API call\\n"
        "For debugging consider passing CUDA_LAUNCH_BLOCKING=1\\n"
        "Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.\\n"
    )
    def launch(): raise RuntimeError(WORDS)
    """
    outcome = failed(made(program, body, bad("launch()")))
    assert outcome.detail.endswith("no kernel image is available for execution on the device")
    assert "^^" not in outcome.detail
    assert "sartor inspect" in (outcome.hint or "")


def test_an_exit_in_a_check_is_its_failure(program: Program) -> None:
    outcome = failed(made(program, "", bad("sys.exit('I go')")))
    assert "I go" in outcome.detail


def test_every_kind_of_outcome(program: Program) -> None:
    body = """
    def unmade(): raise NotMade("no compiler here")
    def nothing(): raise NothingToCheck("one GPU")
    def far(): return judged(Measure(2.0, 1.0, "ULP", "float64"), "far off")
    def near(): return judged(Measure(0.5, 1.0, "ULP", "float64", "00", [2], "float32"))
    def nan(): return judged(Measure(float("nan"), 1.0, "ULP", "float64"))
    """
    names = ("unmade", "nothing", "far", "near")
    checks = ", ".join(f"Check({name!r}, 'golden', {name}, 9, 'p', ['f'])" for name in names)
    found = made(program, body, checks)
    assert isinstance(found["unmade"], NotChecked)
    assert isinstance(found["nothing"], NotApplicable)
    far, near = found["far"], found["near"]
    assert isinstance(far, Failed)
    assert isinstance(near, Passed)
    assert far.measured is not None
    assert near.measured is not None
    assert (far.measured.error, near.measured.shape) == (2.0, [2])
    assert (near.grade, near.package, near.features) == ("golden", "p", ["f"])


def test_a_result_that_is_no_number_fails(program: Program) -> None:
    body = "def nan(): return judged(Measure(float('nan'), 1.0, 'ULP', 'float64'), 'not a number')"
    outcome = failed(made(program, body, bad("nan()")))
    assert outcome.detail == "not a number"


def test_a_program_that_cannot_start_is_one_failure(program: Program) -> None:
    found = made(program, "import no_such_module", good("never"))
    (outcome,) = found.values()
    assert isinstance(outcome, Failed)
    assert (outcome.check, outcome.grade) == ("start it", "loads")
    assert "No module named 'no_such_module'" in outcome.detail


def test_an_interpreter_that_is_gone_is_one_failure(tmp_path: Path) -> None:
    gone = Program(module="imports", label="start it", python=tmp_path / "gone", grade="loads")
    (outcome,) = run(gone)
    assert isinstance(outcome, Failed)
    assert "gone" in outcome.detail


def test_words_on_the_results_are_not_taken_for_results(program: Program) -> None:
    body = """
    def scribble():
        for fd in range(3, 64):
            try: os.write(fd, b"hello\\n")
            except OSError: pass
        time.sleep(30)
    """
    outcome = failed(made(program, body, bad("scribble()")))
    assert "cannot be read" in outcome.detail


def test_only_the_grades_that_are_asked_for(program: Program) -> None:
    checks = f"{good('launched')}, Check('proved', 'golden', lambda: 1)"
    assert set(made(program, "", checks)) == {"launched", "proved"}
    launches: list[Grade] = ["launches"]
    assert [found.check for found in run(program, launches)] == ["launched"]
    loads: list[Grade] = ["loads"]
    assert run(program, loads) == []


def test_checks_with_a_process_for_themselves_run_side_by_side(program: Program) -> None:
    """Two wait for one another; a third takes its process with it; the last stands on them."""
    body = """
    from pathlib import Path
    folder = Path(__file__).parent

    def meet(own, other):
        (folder / own).touch()
        until = time.monotonic() + 15
        while not (folder / other).exists():
            assert time.monotonic() < until, "the other did not run at the same time"
            time.sleep(0.01)
    """
    calls = {"one": "meet('1', '2')", "bad": "os.abort()", "two": "meet('2', '1')"}
    alone = "Check({!r}, 'launches', lambda: {}, 20, None, [], True)"
    checks = ", ".join([*(alone.format(*pair) for pair in calls.items()), good("after")])
    found = made(replace(program, at_once=2), body, checks)
    assert {name: type(outcome) for name, outcome in found.items()} == {
        "one": Passed,
        "bad": Failed,
        "two": Passed,
        "after": Passed,
    }
    assert list(found)[-1] == "after"


def test_what_is_stopped_leaves_no_process(program: Program) -> None:
    """By another thread, in the middle of two checks at a time."""
    marker = program.python.with_name("began")
    body = f"def hang():\n    open({str(marker)!r}, 'w').close()\n    time.sleep(60)"
    alone = "'launches', hang, 90, None, [], True"
    text = ", ".join(f"Check('{name}', {alone})" for name in "abc")
    program.python.with_name("written.py").write_text(
        f"{HEAD}\n{body}\n\ndef checks(settings):\n    return [{text}]\n"
    )
    stop = threading.Event()

    def end() -> None:
        while not marker.exists():
            stop.wait(0.01)
        stop.set()

    ending = threading.Thread(target=end)
    ending.start()
    assert run(replace(program, at_once=2), stop=stop) == []
    ending.join()
    assert not psutil.Process().children(recursive=True)
