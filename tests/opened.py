"""Libraries of an environment made for a test, opened as `sartor verify` opens them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libraries import python_version, shared, site
from sartor.host.model import Host, System
from sartor.verify.loads.libraries import check_libraries
from sartor.verify.model import Failed
from sartor.verify.proving import Proving
from sartor.verify.subject.contents import contents_of
from sartor.verify.subject.evidence import read_site
from sartor.verify.subject.model import Subject

if TYPE_CHECKING:
    from pathlib import Path

    from sartor.verify.model import Outcome

HOST = Host(architecture="x86_64", glibc="2.36", system=System(distribution="debian 12 (bookworm)"))
GOOD = "int one(void) { return 1; }"


def made(folder: Path, name: str, source: str = GOOD, *options: str) -> Path:
    return shared(site(folder) / name, source, *options)


def opened(folder: Path, seconds: float = 60) -> dict[str, Outcome]:
    """What became of each library, by its path in the check's name."""
    subject = Subject(
        path=folder,
        python=folder / "bin" / "python",
        python_version=python_version(),
        site=[site(folder)],
        packages={},
        accelerator="cpu",
    )
    read_site.cache_clear()  # a test alters what was read
    found: list[Outcome] = []
    proving = Proving(asked="loads", open_seconds=seconds)
    check_libraries(subject, contents_of(subject, HOST), proving, found.append)
    assert len({outcome.check for outcome in found}) == len(found)
    assert all(outcome.grade == "loads" for outcome in found)
    return {outcome.check.removeprefix("open "): outcome for outcome in found}


def failed(folder: Path, name: str, seconds: float = 60) -> Failed:
    outcome = opened(folder, seconds)[name]
    assert isinstance(outcome, Failed), outcome
    return outcome
