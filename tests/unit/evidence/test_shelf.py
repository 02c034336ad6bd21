"""What is read once is found again: what the same bytes say, where it is enough."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from evidences import evidence, row
from sartor.artifact import reading as artifact_reading
from sartor.artifact.reading import read_evidence
from sartor.evidence.actions import scan, show, verify
from sartor.evidence.fingerprint import fingerprint
from sartor.evidence.fit import fitted, renamed
from sartor.evidence.reading import evidence_of
from sartor.evidence.row import READER_VERSION, wanted_globs
from sartor.evidence.shelf import Shelf
from sartor.evidence.store import open_store
from sartor.paths import Places
from sartor.reporter import Reporter, Silent

if TYPE_CHECKING:
    from sartor.artifact.model import Evidence
    from sartor.artifact.reading import Names, NamesWanted, Progress
    from sartor.evidence.model import KeptEvidence

FATBIN = Path(__file__).parents[2] / "data/fatbin"
FILES = sorted(p.name for p in FATBIN.iterdir() if p.suffix not in {".sh", ".cu", ".toml"})


class Counting:
    """`read_evidence`, counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times = 0
        monkeypatch.setattr(artifact_reading, "read_evidence", self.read)

    def read(
        self,
        path: Path,
        names: NamesWanted,
        progress: Progress | None = None,
        platform: str | None = None,
    ) -> Evidence:
        self.times += 1
        return read_evidence(path, names, progress, platform)


class Heard(Reporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def own_rows(places: Places) -> list[KeptEvidence]:
    """Those of the store; the snapshot that is shipped is shown too."""
    return [row for row in show(places, None).rows if row.where == "store"]


def none(_: str) -> Names:
    return "none"


def one(_: str) -> Names:
    return "one"


def every(_: str) -> Names:
    return "all"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "home")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A library whose times are old enough to know it by them."""
    path = tmp_path / "lz4.fatbin"
    shutil.copy(FATBIN / "lz4.fatbin", path)
    return path


def through(places: Places | None, path: Path, names: NamesWanted = none) -> Evidence:
    with Shelf.of(places, Silent()) as shelf:
        return evidence_of(path, names, shelf)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("names", [none, one, every])
def test_the_store_says_what_the_file_says(
    places: Places, tmp_path: Path, name: str, names: NamesWanted
) -> None:
    path = FATBIN / name
    direct = read_evidence(path, names)
    assert through(places, path, names) == direct
    assert through(places, path, names) == direct
    other = tmp_path / f"other{path.suffix}"
    shutil.copy(path, other)
    assert through(places, other, names) == read_evidence(other, names)


def test_read_once(places: Places, library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(monkeypatch)
    through(places, library, one)
    through(places, library, one)
    through(places, library, none)
    assert counting.times == 1
    through(places, library, every)
    assert counting.times == 2
    through(places, library, one)
    assert counting.times == 2
    through(None, library, one)
    assert counting.times == 3


def test_a_changed_file_is_read_again(places: Places, library: Path) -> None:
    first = through(places, library)
    shutil.copy(FATBIN / "zstd.fatbin", library)
    second = through(places, library)
    assert first.sha256 != second.sha256
    assert second == read_evidence(library, none)


def test_a_file_that_changes_while_it_is_read_is_not_kept(
    places: Places, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path, names: NamesWanted, *_: object) -> Evidence:
        found = read_evidence(path, names)
        shutil.copy(FATBIN / "zstd.fatbin", library)
        return found

    monkeypatch.setattr(artifact_reading, "read_evidence", read)
    through(places, library)
    assert own_rows(places) == []


def test_fingerprints(library: Path) -> None:
    before = fingerprint(library)
    assert before is not None
    assert not before.is_settled
    stat = library.stat()
    content = library.read_bytes()
    library.write_bytes(content[::-1])
    os.utime(library, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = fingerprint(library)
    assert after is not None
    assert after.text != before.text, "its time was set back, and its inode shows it"
    assert fingerprint(library.parent) is None


def test_no_store_at_all(library: Path, places: Places) -> None:
    assert through(None, library) == read_evidence(library, none)
    assert not places.evidence.exists()


def test_a_store_that_cannot_be_used_is_said_once(places: Places, library: Path) -> None:
    places.evidence.parent.mkdir(parents=True)
    places.evidence.write_bytes(b"nothing" * 1000)
    heard = Heard()
    with Shelf.of(places, heard) as shelf:
        for _ in range(3):
            assert evidence_of(library, none, shelf) == read_evidence(library, none)
    assert len(heard.warnings) == 1
    assert "is not used" in heard.warnings[0]


def test_what_is_too_little() -> None:
    whole = evidence(1, "one")
    target = f"/some/where/{whole.target}"
    expected = msgspec.structs.replace(whole, target=target)
    assert fitted(row(1, "one"), whole, target, one) == expected
    assert fitted(row(1, "one"), whole, target, every) is None
    assert fitted(row(1), evidence(1), target, one) is None
    old = msgspec.structs.replace(row(1, "one"), reader=READER_VERSION - 1)
    assert fitted(old, whole, target, none) is None
    facts = msgspec.structs.replace(row(1, "one"), globs="0" * 16)
    assert fitted(facts, whole, target, none) is None
    stated = msgspec.structs.replace(row(1, "one"), stated_by="a" * 16)
    assert fitted(stated, whole, target, none) is None
    assert fitted(stated, whole, target, none, "b" * 16) is None
    assert fitted(stated, whole, target, none, "a" * 16) is not None
    assert fitted(row(1, "one"), whole, target, none, "a" * 16) is not None
    partial = row(1, faults=True, whole=False)
    assert partial.extent == "partial"
    assert fitted(partial, evidence(1, faults=True), target, none) is None
    faults = row(1, faults=True)
    assert faults.extent == "faults"
    assert fitted(faults, evidence(1, faults=True), target, none) is not None


def test_another_name_declares_other_tags() -> None:
    there = renamed(evidence(1), "one-1.1-cp312-cp312-linux_x86_64.whl")
    assert there.packages[0].file_tags == ["cp312-cp312-linux_x86_64"]
    assert renamed(there, evidence(1).target) == evidence(1)
    assert renamed(evidence(1), "blob").packages[0].file_tags == []
    bad = renamed(evidence(1), "no wheel.whl")
    assert [fault.path for fault in bad.not_read] == ["no wheel.whl"]
    assert renamed(bad, evidence(1).target).not_read == []


def test_facts_are_applied_when_it_is_looked_at() -> None:
    assert wanted_globs("flashinfer-python") is not None
    stored = evidence(1)
    package = msgspec.structs.replace(stored.packages[0], compilers=["cobol"])
    stored = msgspec.structs.replace(stored, packages=[package])
    found = fitted(row(1), stored, stored.target, none)
    assert found is not None
    assert found.packages[0].compilers == []


def test_scan_and_verify(places: Places, library: Path, tmp_path: Path) -> None:
    text = tmp_path / "x.so"
    text.write_text("nothing")
    words = [str(library), str(text), str(tmp_path / "gone")]
    outcomes = [r.outcome for r in scan(places, words, Silent()).rows]
    assert outcomes == ["added", "failed", "failed"]
    again = [r.outcome for r in scan(places, words[:1], Silent()).rows]
    assert again == ["known"]
    forced = [r.outcome for r in scan(places, words[:1], Silent(), again=True).rows]
    assert forced == ["same"]
    named = [r.outcome for r in scan(places, words[:1], Silent(), all_names=True).rows]
    assert named == ["replaced"]
    (kept,) = own_rows(places)
    assert (kept.names, kept.evidence, kept.is_current) == ("all", None, True)
    (kept,) = show(places, kept.sha256[:10]).rows
    assert kept.evidence is not None
    assert [r.outcome for r in verify(places, words[:1], Silent()).rows] == ["same"]
    assert [r.outcome for r in verify(places, [], Silent(), tmp_path).rows] == ["same"]
    assert [r.outcome for r in verify(places, [], Silent()).rows] == ["not-checked"]
    assert [r.outcome for r in verify(places, [str(text)], Silent()).rows] == ["not-checked"]


def test_verify_finds_what_was_told_wrong(places: Places, library: Path) -> None:
    scan(places, [str(library)], Silent())
    own = open_store(places.evidence)
    assert own is not None
    with own:
        (there,) = own.rows()
        told = there.evidence()
        lie = msgspec.structs.replace(told.libraries[0], cuda_major=99)
        data = msgspec.json.encode(msgspec.structs.replace(told, libraries=[lie]))
        from sartor.evidence.row import packed

        own.put(msgspec.structs.replace(there, document=packed(data)), again=True)
    (found,) = verify(places, [str(library)], Silent()).rows
    assert (found.outcome, found.why) == ("different", ["library lz4.fatbin: its cuda_major"])
    (mended,) = scan(places, [str(library)], Silent(), again=True).rows
    assert mended.outcome == "replaced"
    (found,) = verify(places, [str(library)], Silent()).rows
    assert found.outcome == "same"
