"""Files of device code in thousands are told as one, and nothing of them is lost on the way."""

from __future__ import annotations

from sartor.artifact.model import Evidence, Image, Library, NotRead, Unit
from sartor.report.inspection import Layout, inspection_lines
from sartor.report.inspection_files import with_files_folded
from sartor.verdict.inspection import judge
from sartor.verdict.model import Inspection, Target

B200 = Target("sm_100", "10.0", "B200")
GPUS = [B200, Target("sm_120", "12.0", "RTX 5090")]


def cubin(number: int, folder: str = "k/fmha", arch: str = "sm_100f") -> Library:
    size = 100 + number
    image = Image(kind="cubin", arch=arch, count=1, bytes=size, plain_bytes=size)
    unit = Unit(images=[0], bytes=size, offset=0)
    path = f"{folder}/{arch}-{number}.cubin"
    return Library(path=path, size=size, kind="cubin", images=[image], units=[unit])


def inspected(*libraries: Library) -> Inspection:
    return judge(Evidence(target="k.whl", kind="wheel", libraries=list(libraries)), GPUS)


def test_alike_files_are_one_and_add_up() -> None:
    found = inspected(*(cubin(n) for n in range(20)), *(cubin(n, arch="sm_120a") for n in range(9)))
    folded = with_files_folded(found)
    assert [lib.path for lib in folded.libraries] == [
        "k/fmha: 20 x sm_100f",
        "k/fmha: 9 x sm_120a",
    ]
    first, second = folded.libraries
    assert first.size == sum(lib.size for lib in found.libraries[:20])
    assert [(image.count, image.bytes) for image in first.images] == [(20, first.size)]
    assert [(v.gpu, v.units, v.native, v.missing) for v in first.verdicts] == [
        ("sm_100", 20, 20, 0),
        ("sm_120", 20, 0, 20),
    ]
    assert [(v.native, v.missing) for v in second.verdicts] == [(0, 9), (9, 0)]
    assert [reason.count for reason in first.verdicts[1].reasons] == [20]
    assert first.verdicts[0].native_bytes == first.size


def test_few_files_shared_libraries_and_faults_stay_as_they_are() -> None:
    faulty = [
        Library(path=f"k/{n}.cubin", size=1, kind="cubin", not_read=[NotRead("x", "cut off")])
        for n in range(20)
    ]
    shared = [Library(path=f"k/{n}.so", size=1) for n in range(20)]
    found = inspected(*(cubin(n) for n in range(7)), *faulty, *shared)
    assert with_files_folded(found) == found


def test_other_folders_are_other_files() -> None:
    found = inspected(*(cubin(n, folder) for folder in ("k/a", "k/b") for n in range(8)))
    assert [lib.path for lib in with_files_folded(found).libraries] == [
        "k/a: 8 x sm_100f",
        "k/b: 8 x sm_100f",
    ]


def test_a_report_of_thousands_of_files_is_short() -> None:
    lines = inspection_lines(inspected(*(cubin(n) for n in range(5000))), Layout(detail=True))
    assert len(lines) < 40
    assert any("fmha: 5000 x sm_100f" in line and "missing 5000" in line for line in lines)
