"""RECORDs: what is written is what is read, and whatever bytes come raise nothing."""

from __future__ import annotations

import base64
import csv
import hashlib
import io

from hypothesis import given
from hypothesis import strategies as st

from sartor.artifact.record import MOST_FAULTS, Recorded, read_record

NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="\0/\r\n"), min_size=1, max_size=12
).filter(lambda name: name not in {".", ".."})
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


def written(rows: list[tuple[str, str, str]]) -> bytes:
    """A RECORD as installers write it: by Python's own `csv`."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def told(algorithm: str, data: bytes) -> str:
    digest = hashlib.new(algorithm, data).digest()
    return f"{algorithm}={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


@given(st.dictionaries(PATHS, st.tuples(st.binary(max_size=40), st.sampled_from(
    ["sha256", "sha384", "sha512"]))))  # fmt: skip
def test_what_is_written_is_read(files: dict[str, tuple[bytes, str]]) -> None:
    rows = [(path, told(name, data), str(len(data))) for path, (data, name) in files.items()]
    record = read_record(written(rows))
    assert record.faults == []
    assert record.files == [
        Recorded(path, name, hashlib.new(name, data).digest(), len(data))
        for path, (data, name) in files.items()
    ]


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_exception(data: bytes) -> None:
    record = read_record(data)
    assert len(record.faults) <= MOST_FAULTS + 1
    for file in record.files:
        assert file.path
        assert file.digest is None or file.algorithm is not None


def test_a_file_may_have_no_hash_and_no_size() -> None:
    record = read_record(b"six.py,,\nsix-1.dist-info/RECORD,,\nplain.py\n")
    assert record.faults == []
    assert [file.path for file in record.files] == ["six.py", "six-1.dist-info/RECORD", "plain.py"]
    assert all(file.digest is None and file.size is None for file in record.files)


def test_a_digest_may_be_hexadecimal() -> None:
    data = hashlib.sha256(b"x")
    record = read_record(f"six.py,sha256={data.hexdigest()},1\n".encode())
    assert record.files == [Recorded("six.py", "sha256", data.digest(), 1)]


def test_lines_that_are_none_are_faults_and_the_others_are_read() -> None:
    good = f"six.py,{told('sha256', b'x')},1"
    lines = [
        good,
        "weak.py,md5=1B2M2Y8AsgTpgAmY7PhCfg,0",
        "short.py,sha256=abcd,0",
        "sized.py,,many",
        "a,b,c,d",
        ",,",
    ]
    record = read_record("\n".join(lines).encode())
    assert [file.path for file in record.files] == ["six.py"]
    assert [fault.partition(":")[0] for fault in record.faults] == [
        f"line {number}" for number in (2, 3, 4, 5, 6)
    ]


def test_a_file_that_is_there_twice_and_differs_is_a_fault() -> None:
    line = f"six.py,{told('sha256', b'x')},1"
    assert read_record(f"{line}\n{line}\n".encode()).faults == []
    other = f"six.py,{told('sha256', b'y')},1"
    assert "twice" in read_record(f"{line}\n{other}\n".encode()).faults[0]


def test_paths_are_made_plain() -> None:
    record = read_record(b"a/../six.py,,\n../../bin/tool,,\n")
    assert [file.path for file in record.files] == ["six.py", "../../bin/tool"]


def test_bytes_that_are_not_utf_8_are_said() -> None:
    record = read_record(b"caf\xe9.py,,\n")
    assert record.files == []
    assert "UTF-8" in record.faults[0]
