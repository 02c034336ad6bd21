"""What an environment takes from its interpreter: its own key, and what `verify` counts of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bundles import STACK
from locks import HOST
from sartor.artifact.model import Evidence, Library, Package
from sartor.lock.pins import markers
from sartor.plan.model import environment_key
from sartor.verify.model import Failed
from sartor.verify.resolves.requirements import requirement_outcomes
from sartor.verify.subject.model import Subject
from sartor.verify.subject.taken import counted, distributions_of

if TYPE_CHECKING:
    from pathlib import Path


def put(site: Path, name: str, version: str, *requires: str) -> None:
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {r}" for r in requires)]
    (info / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", *lines]) + "\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\nTag: py3-none-any\n")


def subject(folder: Path, taken: list[str] | None) -> Subject:
    own, base = folder / "env" / "lib", folder / "base"
    put(own, "vllm", "1.0", "torch==2.11.0", "transformers>=5.20")
    put(own, "transformers", "5.23.0")
    put(base, "torch", "2.11.0+cu130")
    put(base, "transformers", "5.17.0")
    put(base, "notebook", "1.0", "nothing-that-is-here", "transformers<5.20")
    return Subject(
        path=folder / "env",
        python=folder / "env" / "bin" / "python",
        python_version="3.12.3",
        site=[own, base],
        packages={},
        accelerator="cpu",
        taken=taken,
        markers=markers(HOST),
    )


def test_of_the_interpreters_packages_the_stacks_alone_count(tmp_path: Path) -> None:
    found = subject(tmp_path, ["torch"])
    distributions = distributions_of(found)
    assert [d.label for d in distributions] == [
        "transformers 5.23.0",
        "vllm 1.0",
        "torch 2.11.0+cu130",
    ]
    found = msgspec.structs.replace(found, packages={d.name: d.version for d in distributions})
    outcomes = [*requirement_outcomes(found, distributions)]
    assert outcomes
    assert not [o for o in outcomes if isinstance(o, Failed)]


def test_without_such_a_stack_all_of_them_count(tmp_path: Path) -> None:
    found = subject(tmp_path, None)
    distributions = distributions_of(found)
    found = msgspec.structs.replace(
        found, packages={d.name: d.version for d in reversed(distributions)}
    )
    failed = [o for o in requirement_outcomes(found, distributions) if isinstance(o, Failed)]
    assert [f.package for f in failed] == ["notebook"]


def test_libraries_of_other_packages_do_not_count(tmp_path: Path) -> None:
    found = subject(tmp_path, ["torch"])
    packages = [
        Package(name=name, version="1", path=f"{name}.dist-info", libraries=[f"{name}/a.so"])
        for name in ("torch", "notebook")
    ]
    libraries = [Library(path=f"{n}/a.so", size=1) for n in ("torch", "notebook")]
    read = Evidence(target="x", kind="environment", packages=packages, libraries=libraries)
    base = counted(found, tmp_path / "base", read)
    assert [p.name for p in base.packages] == ["torch"]
    assert [lib.path for lib in base.libraries] == ["torch/a.so"]
    assert counted(found, tmp_path / "env" / "lib", read) == read


def test_what_is_there_makes_another_environment() -> None:
    keys = {
        environment_key(msgspec.structs.replace(STACK, there=there))
        for there in ({}, {"torch": "2.11.0"}, {"torch": "2.11.0+cu130"})
    }
    assert len(keys) == 3
