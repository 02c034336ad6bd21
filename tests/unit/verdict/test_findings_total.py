"""Whatever a target says of itself, the rules answer: findings, or what they could not check."""

from __future__ import annotations

from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from sartor.artifact.model import Evidence, Library, Package, TargetKind, TorchAbi
from sartor.host.model import Host
from sartor.verdict.case import Case
from sartor.verdict.findings import RULES, code_of, findings
from sartor.verdict.model import SEVERITIES

NAMES = st.sampled_from(["torch", "vllm", "bitsandbytes", "triton", "nvidia-nccl-cu12", "", "x"])
VERSIONS = st.one_of(st.text(max_size=8), st.sampled_from(["2.11.0", "0.25.1", "1.0+cu128", "1!2"]))
SONAMES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["libtorch.so", "libcudart.so.12", "libcudart.so.13", "libnuma.so.1"]),
)
PATHS = st.one_of(st.text(max_size=12), st.sampled_from(["a/b.so", "lib/python3.12/c.so", "b.so"]))
REQUIREMENTS = st.one_of(
    st.text(max_size=20),
    st.builds(
        "{}{}".format, NAMES, st.sampled_from(["==2.5.1", "; python_version > '3'", "[x]<1"])
    ),
)
TAGS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["cp38-abi3-manylinux_2_28_x86_64", "cp312-cp312-manylinux1_x86_64", "a-abi3-"]
    ),
)
PYTHONS = st.one_of(st.none(), st.text(max_size=5), st.sampled_from(["cp312", "cp310", "abi3"]))

PACKAGES = st.builds(
    Package,
    name=NAMES,
    version=VERSIONS,
    path=PATHS,
    tags=st.lists(TAGS, max_size=2),
    file_tags=st.lists(TAGS, max_size=2),
    requires=st.lists(REQUIREMENTS, max_size=3),
    libraries=st.lists(PATHS, max_size=3),
    fact_files=st.lists(PATHS, max_size=1),
)
LIBRARIES = st.builds(
    Library,
    path=PATHS,
    size=st.just(1),
    machine=st.sampled_from([None, "x86_64", "aarch64"]),
    soname=st.one_of(st.none(), SONAMES),
    needed=st.lists(SONAMES, max_size=4),
    glibc=st.one_of(st.none(), st.text(max_size=6), st.just("2.34")),
    glibcxx=st.one_of(st.none(), st.just("3.4.30")),
    python=PYTHONS,
    torch_abi=st.sampled_from([None, *get_args(TorchAbi)]),
    torch_symbols=st.lists(st.text(max_size=4), max_size=2),
)
EVIDENCE = st.builds(
    Evidence,
    target=st.just("here"),
    kind=st.sampled_from(get_args(TargetKind)),
    packages=st.lists(PACKAGES, max_size=3),
    libraries=st.lists(LIBRARIES, max_size=4),
)


class Nothing:
    """A library that defines no symbol."""

    def defines(self, name: str) -> bool:
        return name == "none"


@settings(max_examples=300)
@given(EVIDENCE, st.sampled_from([None, Host(), Host(glibc="2.31")]), st.booleans())
def test_every_case_is_answered(evidence: Evidence, host: Host | None, looked: bool) -> None:
    symbols = {library.path: Nothing() for library in evidence.libraries} if looked else {}
    found, notes = findings(Case(evidence, host, symbols=symbols))
    order = [SEVERITIES.index(finding.severity) for finding in found]
    assert order == sorted(order)
    assert {finding.code for finding in found} <= {code_of(rule) for rule in RULES}
    assert all(finding.text.endswith((".", "`")) for finding in found)
    assert all(note.why for note in notes)
