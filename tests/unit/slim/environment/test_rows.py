"""Lines of RECORDs: one is changed, and every other byte stays."""

from __future__ import annotations

import hashlib

import pytest

from sartor.artifact.record import read_record
from sartor.slim.environment import rows

RECORD = (
    b'pkg/__init__.py,sha256=AAAA,3\r\n"pkg/a,b.so",sha256=BBBB,10\r\n'
    b"./pkg/c.so,sha256=CCCC,11\npkg/plain.so,,\npkg-1.dist-info/RECORD,,"
)
DIGEST = hashlib.sha256(b"new").hexdigest()


def test_one_line_is_changed_and_back() -> None:
    for path in ("pkg/a,b.so", "pkg/c.so"):
        (line,) = rows.lines_of(RECORD)[path]
        new = rows.changed_line(line, DIGEST, 3)
        changed = rows.with_lines(RECORD, {line: new})
        before, after = (read_record(data).files for data in (RECORD, changed))
        others = [file for file in before if file.path != path]
        assert [file for file in after if file.path != path] == others
        (now,) = [file for file in after if file.path == path]
        assert now.digest is not None
        assert (now.digest.hex(), now.size) == (DIGEST, 3)
        assert rows.with_lines(changed, {new: line}) == RECORD


def test_a_line_without_a_hash_gets_none() -> None:
    (line,) = rows.lines_of(RECORD)["pkg/plain.so"]
    assert rows.changed_line(line, DIGEST, 3) == line


@pytest.mark.parametrize("path", ["pkg/__init__.py", "pkg/c.so", "pkg-1.dist-info/RECORD"])
def test_a_line_is_taken_out_and_put_back(path: str) -> None:
    (line,) = rows.lines_of(RECORD)[path]
    place = rows.place_of(RECORD, line)
    without = rows.with_lines(RECORD, {line: b""})
    assert path not in rows.lines_of(without)
    assert rows.with_line_at(without, place, line) == RECORD


def test_lines_that_are_none_are_passed_over() -> None:
    assert rows.lines_of(b'\xff\xfe,x,1\n\n,,\n"open') == {"open": [b'"open']}
