"""Hypothesis strategies: any host whatsoever, and the words that it is told with."""

from __future__ import annotations

from hypothesis import strategies as st

from sartor.host.model import (
    Cpu,
    Disk,
    Driver,
    Gpu,
    Host,
    Memory,
    MigInstance,
    Tool,
    UndrivenGpu,
)

words = st.one_of(st.text(max_size=8), st.sampled_from(["", "latest", "12.8", "2.39", "3.12.1"]))
maybe = st.none() | words
sizes = st.none() | st.integers(0, 1 << 45)
versions = st.none() | st.sampled_from(["535.183", "575.57.08", "580.95", "580", "7", "x"])
capabilities = st.none() | st.sampled_from(
    ["6.1", "7.0", "8.6", "9.0", "12.0", "12.1", "99.9", "?"]
)
tools = st.lists(st.builds(Tool, words, words, maybe), max_size=2)
instances = st.lists(st.builds(MigInstance, words, maybe, sizes), max_size=2)
gpus = st.builds(
    Gpu,
    words,
    capabilities,
    sizes,
    uuid=maybe,
    unified_memory=st.booleans(),
    mig=st.none() | instances,
)
hosts = st.builds(
    Host,
    gpus=st.lists(gpus, max_size=3),
    driver=st.none() | st.builds(Driver, versions, versions),
    cpu=st.none()
    | st.builds(
        Cpu, maybe, st.lists(st.sampled_from(["avx2", "fma", "f16c", "bmi2"]), unique=True)
    ),
    architecture=st.sampled_from([None, "x86_64", "aarch64", "riscv64"]),
    glibc=st.sampled_from([None, "2.12", "2.28", "2.39", "musl"]),
    memory=st.builds(Memory, sizes, sizes),
    disks=st.lists(
        st.builds(Disk, st.just("data"), words, st.integers(0, 1 << 40), st.booleans()), max_size=1
    ),
    pythons=tools,
    compilers=tools,
    cuda_toolkits=tools,
    libraries=st.dictionaries(st.sampled_from(["libgomp.so.1", "libnuma.so.1"]), maybe),
    undriven_gpus=st.lists(st.builds(UndrivenGpu, words, words, maybe, maybe, maybe), max_size=1),
    described=st.booleans(),
)
