"""Resolutions of the catalog: by uv, on loopback indexes whose every file is known."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from projects import isolate, pages, publish, publishing, simple, wheel
from sartor.catalog import kept_resolutions
from sartor.catalog.catalog import Catalog
from sartor.paths import Places
from sartor.plan.known import (
    DEFAULT,
    IndexPin,
    Known,
    Machine,
    Resolution,
    ResolveQuestion,
    Unread,
    Unsolvable,
    Wanted,
)
from sartor.reporter import Reporter

if TYPE_CHECKING:
    from pathlib import Path

    from sartor.plan.known import Resolved
    from wheelserver import WheelServer

NEWER = Machine("x86_64", "2.35", "3.12")


class Heard(Reporter):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.warned: list[str] = []

    def warn(self, text: str) -> None:
        self.warned.append(text)


class User:
    """A user whose pip and uv know one index."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.heard = Heard()
        self._monkeypatch = monkeypatch

    def has(self, server: WheelServer, **variables: str) -> None:
        isolate(
            self._monkeypatch,
            str(self.folder),
            {"UV_DEFAULT_INDEX": simple(server), **variables},
        )

    @property
    def places(self) -> Places:
        return Places(self.folder / "sartor")

    def resolve(self, question: ResolveQuestion, *, refresh: bool = False) -> Resolved:
        with Catalog(self.places, self.heard, refresh=refresh) as catalog:
            return catalog.answer(Wanted(resolutions=(question,)), Known()).resolutions[question]

    def chosen(self, question: ResolveQuestion) -> dict[str, tuple[str, str]]:
        """Project → its version and index."""
        return versions(self.resolve(question))


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> User:
    return User(tmp_path, monkeypatch)


def versions(resolved: Resolved) -> dict[str, tuple[str, str]]:
    assert isinstance(resolved, Resolution), resolved
    return {package.name: (package.version, package.index) for package in resolved.packages}


def ask(*requirements: str, machine: Machine = NEWER, **more: object) -> ResolveQuestion:
    return ResolveQuestion(requirements, machine, **more)  # type: ignore[arg-type]


def test_a_set_with_everything_that_is_known_of_its_files(user: User) -> None:
    with publishing(
        wheel("alpha", "1.0", ["beta>=2"]), wheel("beta", "3.0"), uploaded="2026-01-02T03:04:05Z"
    ) as index:
        user.has(index)
        resolved = user.resolve(ask("alpha"))
    assert isinstance(resolved, Resolution)
    assert versions(resolved) == {"alpha": ("1.0", DEFAULT), "beta": ("3.0", DEFAULT)}
    beta = resolved.packages[1].file
    name = "beta-3.0-py3-none-any.whl"
    assert (beta.name, beta.url) == (name, index.url(name))
    assert beta.uploaded == "2026-01-02T03:04:05Z"
    assert beta.size == len(index.files[name])
    assert beta.sha256
    assert beta.sha256 in resolved.pylock
    assert str(user.folder) not in resolved.pylock


@pytest.mark.parametrize("requirements", [("alpha", "beta"), ("alpha",)])
@pytest.mark.parametrize("strategy", ["first-index", "unsafe-best-match"])
def test_a_pinned_project_comes_from_its_index_alone(
    user: User, requirements: tuple[str, ...], strategy: str
) -> None:
    """The default index has a newer one; what the pinned one requires comes from the default."""
    default = [wheel("alpha", "1.0", ["beta"]), wheel("beta", "9.0"), wheel("gamma", "1.0")]
    other = [wheel("beta", "2.0", ["gamma"]), wheel("gamma", "5.0"), wheel("alpha", "7.0")]
    with publishing(*default) as own, publishing(*other) as made:
        user.has(own, UV_INDEX_STRATEGY=strategy)
        pin = IndexPin(simple(made), ("beta",))
        chosen = user.chosen(ask(*requirements, indexes=(pin,)))
    assert chosen == {
        "alpha": ("1.0", DEFAULT),
        "beta": ("2.0", simple(made)),
        "gamma": ("1.0", DEFAULT),
    }
    assert {*pages(made)} == {"beta"}


def test_a_pinned_project_that_nothing_asks_for_is_left_out(user: User) -> None:
    with publishing(wheel("alpha", "1.0")) as own, publishing(wheel("beta", "2.0")) as made:
        user.has(own)
        pin = IndexPin(simple(made), ("beta",))
        assert user.chosen(ask("alpha", indexes=(pin,))) == {"alpha": ("1.0", DEFAULT)}


def test_a_pinned_project_that_the_default_index_has_not_at_all(user: User) -> None:
    with (
        publishing(wheel("alpha", "1.0", ["beta==2.0+cu13"])) as own,
        publishing(wheel("beta", "2.0+cu13"), wheel("beta", "1.0"), wheel("zeta", "1")) as made,
    ):
        user.has(own)
        pin = IndexPin(simple(made), ("beta", "zeta"))
        chosen = user.chosen(ask("alpha", indexes=(pin,)))
    assert chosen == {"alpha": ("1.0", DEFAULT), "beta": ("2.0+cu13", simple(made))}


def test_a_pinned_index_that_is_not_reached_is_no_answer(user: User) -> None:
    with publishing(wheel("alpha", "1.0", ["beta"]), wheel("beta", "9.0")) as own:
        user.has(own)
        pin = IndexPin("http://127.0.0.1:9/simple", ("beta",))
        resolved = user.resolve(ask("alpha", indexes=(pin,)))
    assert isinstance(resolved, Unread)
    assert "127.0.0.1:9" in resolved.why


def test_why_there_is_no_set_is_in_the_resolvers_words(user: User) -> None:
    with publishing(wheel("alpha", "1.0", ["beta<2"]), wheel("beta", "3.0")) as index:
        user.has(index)
        resolved = user.resolve(ask("alpha", "beta>2"))
        missing = user.resolve(ask("nowhere"))
    assert isinstance(resolved, Unsolvable)
    assert resolved.why.startswith("No solution found")
    assert "alpha" in resolved.why
    assert "beta<2" in resolved.why
    assert isinstance(missing, Unsolvable)
    assert "nowhere" in missing.why


@pytest.mark.parametrize("status", [401, 403, 500])
def test_an_index_that_refuses_is_no_proof(user: User, status: int) -> None:
    with publishing(wheel("alpha", "1.0")) as index:
        user.has(index)
        index.page_status += [status] * 40
        assert isinstance(user.resolve(ask("alpha")), Unread)


def test_as_of_a_day_nothing_later(user: User) -> None:
    with publishing(wheel("alpha", "1.0"), wheel("alpha", "2.0")) as index:
        user.has(index)
        for name, stated in index.stated.items():
            stated["upload-time"] = f"2026-0{name[6]}-15T00:00:00Z"
        assert user.chosen(ask("alpha"))["alpha"][0] == "2.0"
        early = ask("alpha", as_of="2026-01-20T00:00:00Z")
        assert user.chosen(early)["alpha"][0] == "1.0"
        assert isinstance(user.resolve(ask("alpha", as_of="2025-01-01T00:00:00Z")), Unsolvable)


@pytest.mark.parametrize("prereleases", [False, True])
def test_prereleases_where_they_are_wanted(user: User, *, prereleases: bool) -> None:
    with publishing(wheel("alpha", "1.0"), wheel("alpha", "2.0rc1")) as index:
        user.has(index)
        chosen = user.chosen(ask("alpha", prereleases=prereleases))
    assert chosen["alpha"][0] == ("2.0rc1" if prereleases else "1.0")


def test_what_is_left_out_is_not_there(user: User) -> None:
    with publishing(wheel("alpha", "1.0", ["beta", "gamma"]), wheel("beta", "1.0")) as index:
        user.has(index)
        assert {*user.chosen(ask("alpha", leave_out=("gamma",)))} == {"alpha", "beta"}


BUILDS = {
    "alpha-1.0-cp312-cp312-manylinux_2_17_x86_64": Machine("x86_64", "2.17", "3.12"),
    "alpha-1.0-cp312-cp312-manylinux_2_31_x86_64": Machine("x86_64", "2.35", "3.12"),
    "alpha-1.0-cp312-cp312-manylinux_2_39_x86_64": Machine("x86_64", "2.43", "3.12"),
    "alpha-1.0-cp312-cp312-manylinux_2_28_aarch64": Machine("aarch64", "2.39", "3.12"),
    "alpha-1.0-cp310-cp310-manylinux_2_17_x86_64": Machine("x86_64", "2.39", "3.10"),
    "alpha-1.0-cp314-cp314-manylinux_2_17_x86_64": Machine("x86_64", "2.39", "3.14"),
    "alpha-1.0-cp38-abi3-manylinux_2_17_x86_64": Machine("x86_64", "2.39", "3.13"),
}


@pytest.mark.parametrize("name", BUILDS)
def test_the_wheel_of_the_machine(user: User, name: str) -> None:
    made = [wheel("alpha", "1.0", tags=n.removeprefix("alpha-1.0-")) for n in BUILDS]
    with publishing(*made) as index:
        user.has(index)
        resolved = user.resolve(ask("alpha", machine=BUILDS[name]))
    assert isinstance(resolved, Resolution)
    assert resolved.packages[0].file.name == f"{name}.whl"


def test_a_machine_that_cannot_be_asked_for(user: User) -> None:
    with publishing(wheel("alpha", "1.0")) as index:
        user.has(index)
        for machine in (Machine("ppc64le", "2.35", "3.12"), Machine("x86_64", "2.12", "3.12")):
            assert isinstance(user.resolve(ask("alpha", machine=machine)), Unread)


def test_an_old_glibc_between_two_that_can_be_asked_for_is_no_proof(user: User) -> None:
    """2.27 is resolved as 2.17: that there is no set then says nothing of 2.27."""
    with publishing(wheel("alpha", "1.0", tags="cp312-cp312-manylinux_2_24_x86_64")) as index:
        user.has(index)
        resolved = user.resolve(ask("alpha", machine=Machine("x86_64", "2.27", "3.12")))
    assert isinstance(resolved, Unread)
    assert "2.17" in resolved.why


def sdist(name: str, version: str, setup: str, metadata: str = "1.0") -> dict[str, bytes]:
    """A source distribution; metadata of version 1.0 is known after its code ran."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for path, text in {
            "setup.py": setup,
            "PKG-INFO": f"Metadata-Version: {metadata}\nName: {name}\nVersion: {version}\n"
            "Requires-Dist: beta>=2\n",
        }.items():
            info = tarfile.TarInfo(f"{name}-{version}/{path}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return {f"{name}-{version}.tar.gz": out.getvalue()}


RUNS = "open({!r}, 'w').close()\nfrom setuptools import setup\nsetup()\n"


def test_a_source_that_declares_what_it_requires(user: User) -> None:
    """Taken from source where that is wanted, though a wheel is there; and nothing is built."""
    ran = user.folder / "ran"
    source = sdist("alpha", "1.0", RUNS.format(str(ran)), "2.2")
    with publishing(source, wheel("alpha", "1.0"), wheel("beta", "3.0")) as index:
        user.has(index)
        resolved = user.resolve(ask("alpha==1.0", from_source=("alpha",)))
    assert isinstance(resolved, Resolution)
    names = [package.file.name for package in resolved.packages]
    assert names == ["alpha-1.0.tar.gz", "beta-3.0-py3-none-any.whl"]
    assert not ran.exists()


@pytest.mark.parametrize("from_source", [(), ("alpha",)])
def test_no_code_of_a_package_is_run(user: User, from_source: tuple[str, ...]) -> None:
    ran = user.folder / "ran"
    with publishing(sdist("alpha", "1.0", RUNS.format(str(ran)))) as index:
        user.has(index)
        resolved = user.resolve(ask("alpha==1.0", from_source=from_source))
    assert isinstance(resolved, Unread if from_source else Unsolvable)
    assert not ran.exists()


def test_what_was_resolved_is_kept_and_used_without_an_index(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = ask("alpha")
    with publishing(wheel("alpha", "1.0")) as index:
        user.has(index)
        first = user.resolve(question)
        publish(index, wheel("alpha", "2.0"))
        asked = len(index.seen)
        assert user.resolve(question) == first
        assert len(index.seen) == asked
        again = versions(user.resolve(question, refresh=True))
    assert again["alpha"][0] == "2.0"
    assert user.heard.warned == []
    monkeypatch.setattr(kept_resolutions, "MOST_FRESH", 0.0)
    assert user.chosen(question)["alpha"][0] == "2.0"
    assert any("no index is reached" in text for text in user.heard.warned)


def test_without_an_index_uvs_own_cache_may_do(user: User) -> None:
    with publishing(wheel("alpha", "1.0"), wheel("beta", "1.0")) as index:
        user.has(index)
        index.page_headers["Cache-Control"] = "no-cache"
        user.resolve(ask("alpha"))
        user.resolve(ask("beta"))
    assert {*user.chosen(ask("alpha", "beta"))} == {"alpha", "beta"}
    assert any("from what uv has in its cache" in text for text in user.heard.warned)
    unknown = user.resolve(ask("alpha>1"))
    assert isinstance(unknown, Unread)  # no index said that there is no newer one


def test_another_index_is_another_question(user: User) -> None:
    with publishing(wheel("alpha", "1.0")) as one, publishing(wheel("alpha", "2.0")) as two:
        user.has(one)
        assert user.chosen(ask("alpha"))["alpha"][0] == "1.0"
        user.has(two)
        assert user.chosen(ask("alpha"))["alpha"][0] == "2.0"


def test_a_silent_index_is_not_asked_again_for_ten_minutes(user: User) -> None:
    """The rule of listings, for the resolver: another question over the same pages asks nothing."""
    with publishing(wheel("alpha", "1.0", ["beta"]), wheel("beta", "1.0")) as index:
        user.has(index)
        user.resolve(ask("alpha"))
        seen = len(index.seen)
        user.resolve(ask("alpha", machine=Machine("aarch64", "2.39", "3.12")))
        assert len(index.seen) == seen


def test_an_index_that_says_so_is_asked_each_time(user: User) -> None:
    with publishing(wheel("alpha", "1.0", ["beta"]), wheel("beta", "1.0")) as index:
        user.has(index)
        index.page_headers["Cache-Control"] = "no-cache"
        user.resolve(ask("alpha"))
        index.seen.clear()
        user.resolve(ask("alpha", machine=Machine("aarch64", "2.39", "3.12")))
        assert {"alpha", "beta"} <= {*pages(index)}


def test_secrets_of_an_index_reach_no_file(user: User, tmp_path: Path) -> None:
    with publishing(wheel("alpha", "1.0")) as index:
        address = simple(index).replace("//", "//me:s3cret@")
        user.has(index, UV_DEFAULT_INDEX=address)
        assert user.chosen(ask("alpha"))["alpha"][0] == "1.0"
        assert any(seen.authorization for seen in index.seen)
    written = [p for p in user.places.root.rglob("*") if p.is_file()]
    assert written
    assert not any(b"s3cret" in path.read_bytes() for path in written)


CODE = """
import json, sys
from pathlib import Path
from sartor.catalog.catalog import Catalog
from sartor.paths import Places
from sartor.plan.known import Machine, ResolveQuestion
from sartor.reporter import Silent
with Catalog(Places(Path(sys.argv[1])), Silent()) as catalog:
    found = [catalog.resolve(ResolveQuestion((name,), Machine("x86_64", "2.35", "3.12")))
             for name in ("alpha", "beta", "alpha")]
print(json.dumps([[p.name + p.version for p in one.packages] for one in found]))
"""


def test_several_processes_at_once(user: User) -> None:
    with publishing(wheel("alpha", "1.0", ["beta"]), wheel("beta", "1.0")) as index:
        user.has(index)
        argv = [sys.executable, "-c", CODE, str(user.places.root)]
        running = [
            subprocess.Popen(argv, stdout=subprocess.PIPE, env=os.environ.copy()) for _ in range(4)
        ]
        said = [json.loads(process.communicate()[0]) for process in running]
    assert said == [[["alpha1.0", "beta1.0"], ["beta1.0"], ["alpha1.0", "beta1.0"]]] * 4


def test_nothing_can_be_kept(user: User) -> None:
    (user.folder / "sartor").write_text("a file where the folder would be")
    with publishing(wheel("alpha", "1.0")) as index:
        user.has(index)
        assert user.chosen(ask("alpha"))["alpha"][0] == "1.0"
    assert len([text for text in user.heard.warned if "resolved is not kept" in text]) == 1
