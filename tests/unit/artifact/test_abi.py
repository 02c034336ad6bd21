"""What names say: real mangled names of published libraries, and what only looks like them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elf_builder import Wanted, shared_library
from sartor.artifact.abi import (
    called_compilers,
    mentions_old_string,
    python_tag,
    string_abi,
    torch_abi,
)
from sartor.artifact.elf import Tag
from sartor.artifact.elf_library import elf_library
from sartor.artifact.source import BytesSource, Invalid

TORCH = ["libtorch.so", "libc10.so", "libtorch_cpu.so"]

# Undefined in sgl_kernel/flash_ops.abi3.so of sglang-kernel 0.4.10 and in torchvision/_C.so 0.20.1.
NEW = "_ZN5torch3jit11parseSchemaERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEEb"
NEW_TAGGED = "_ZN3c1013MessageLogger6streamB5cxx11Ev"
OLD = "_ZN3c106detail23torchInternalAssertFailEPKcS2_jS2_RKSs"
OLD_LATE = "_ZN5torch7LibraryC1ENS0_4KindESsSt8optionalIN3c1011DispatchKeyEEPKcj"
WITHOUT = "_ZNK3c1010TensorImpl19is_contiguous_customENS_12MemoryFormatE"

OF_TORCH = [
    NEW,
    OLD,
    WITHOUT,
    "_ZTVN5torch8autograd12AutogradMetaE",
    "_ZTIN3c105ErrorE",
    "_ZTSN3c105ErrorE",
    "_ZTHN3c104impl26raw_local_dispatch_key_setE",
    "_ZTWN3c104impl26raw_local_dispatch_key_setE",
    "_ZNR5torch7Library5_implEPKcONS_11CppFunctionENS_17_RegisterOrVerifyE",
    "_ZN2at4_ops10zeros_like4callERKNS_6TensorE",
    "_ZGVZN2at6native3fooEvE5cache",
    "_ZThn16_N3c104impl4HashD0Ev",
    "_ZTv0_n24_N5torch2nn6ModuleD1Ev",
    "_ZTch0_h16_N2at1A1fEv",
    "_ZZN6caffe28TypeMeta4dataEvE1x",
]
OF_OTHERS = [
    "_ZlsRSoRKN3c106DeviceE",
    "_ZNSt6vectorIN2at6TensorESaIS1_EED1Ev",
    "_ZN4cute2at3fooEv",
    "_ZN12at3c10Ev",
    "_Z5torchv",
    "_ZN10flash_attn5torch3runEv",
    "N3c105ErrorE",
    "torch",
    "THPfoo",
    "xaoti_torch_get_dim",
    "",
]


@pytest.mark.parametrize("name", OF_TORCH)
def test_a_name_of_torch(name: str) -> None:
    assert torch_abi([name, "memcpy"], TORCH)[1] == [name]


@pytest.mark.parametrize("name", OF_OTHERS)
def test_a_name_of_others(name: str) -> None:
    assert torch_abi([name], TORCH) == (None, [])


@pytest.mark.parametrize(
    ("undefined", "abi"),
    [
        ([NEW, WITHOUT], "cxx11"),
        ([WITHOUT, NEW_TAGGED], "cxx11"),
        ([OLD, WITHOUT], "pre-cxx11"),
        ([OLD_LATE], "pre-cxx11"),
        ([WITHOUT], None),
        ([WITHOUT, "_ZNKSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE4findEcm"], "cxx11"),
        ([WITHOUT, "_ZNSs6appendERKSs"], "pre-cxx11"),
        ([OLD, "_ZNKSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE4findEcm"], "pre-cxx11"),
        (["aoti_torch_get_dim", "torch_list_push_back", "memcpy"], "stable"),
        (["aoti_torch_get_dim", NEW], "cxx11"),
        (["THPVariableClass"], "c"),
        (["THPVariableClass", "aoti_torch_get_dim"], "c"),
        (["memcpy", "_ZNSs6appendERKSs"], None),
        ([], None),
    ],
)
def test_the_abi(undefined: list[str], abi: str | None) -> None:
    assert torch_abi(undefined, TORCH)[0] == abi


def test_the_shims_short_prefix_needs_a_library_of_torch() -> None:
    assert torch_abi(["torch_set_rng"], ["liblua.so"]) == (None, [])
    assert torch_abi(["torch_get_dim"], ["libtorch.so"]) == ("stable", ["torch_get_dim"])
    assert torch_abi(["torch_get_dim", "aoti_torch_get_dim"], [])[1] == [
        "aoti_torch_get_dim",
        "torch_get_dim",
    ]


@pytest.mark.parametrize(
    ("name", "old"),
    [
        ("_ZN1aC1ESs", True),
        ("_Z1fRKSs", True),
        ("_Z1fISsEvv", True),
        ("_Z1fRKSt6vectorISsSaISsEE", True),
        ("_ZThn16_N1a1fESs", True),
        ("_Z1fA10_SsE", True),
        ("_Z1fILi12EEvSs", True),
        ("_ZN1a4passSsE", True),
        ("_ZN1a6passSsE", False),
        ("_ZN8SsprefixC1Ev", False),
        ("_ZN1a1fES1s_Sa", False),
        ("_Z9longSsname", False),
        ("Ss", False),
        ("_ZN99999999Ss", False),
    ],
)
def test_the_abbreviation_of_the_old_string(name: str, old: bool) -> None:
    assert mentions_old_string(name) == old


@given(st.text(alphabet="_ZNSsThnv0129ELiE", max_size=200))
def test_any_name_is_told_to_be_old_or_not(name: str) -> None:
    assert string_abi(["_Z" + name, name]) in {"pre-cxx11", None}


@pytest.mark.parametrize("letters", ["T", "S", "A1", "Li1", "x2Ss", "ZZN", "1T"])
def test_long_names_take_no_long_time(letters: str) -> None:
    names = [f"_ZN2at{letters * 500_000}Ss", f"_Z{letters * 500_000}Ss"]
    names += [f"_ZN2at{letters * 90}{number}Ss" for number in range(10_000)]
    began = time.monotonic()
    torch_abi(names, TORCH)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("path", "needed", "tag"),
    [
        ("vllm/_C.abi3.so", [], "abi3"),
        ("a/_C.cpython-312-x86_64-linux-gnu.so", [], "cp312"),
        ("a/_C.cpython-313t-x86_64-linux-gnu.so", [], "cp313t"),
        ("a/_C.cpython-38-aarch64-linux-gnu.so", ["libpython3.8.so.1.0"], "cp38"),
        ("a/_C.pypy310-pp73-x86_64-linux-gnu.so", [], "pp310"),
        ("_C.abi3t.so", [], "abi3t"),
        ("cpython-312-x86_64/_C.so", [], None),
        ("a/_C.so", ["libc.so.6"], None),
        ("bin/app", ["libpython3.11.so.1.0"], "cp311"),
        ("bin/app", ["libpython3.so"], None),
        ("libabi3.so", [], None),
    ],
)
def test_the_interpreter(path: str, needed: list[str], tag: str | None) -> None:
    assert python_tag(path, needed) == tag


def test_a_compiler_is_called_not_merely_needed() -> None:
    assert called_compilers(["nvrtcCompileProgram", "nvrtcVersion"]) == ["nvrtc"]
    assert called_compilers(["__nvJitLinkCreate_13_0"]) == ["nvjitlink"]
    assert called_compilers(["nvrtcVersion", "cuLaunchKernel"]) == []


@pytest.mark.parametrize(
    ("function", "constants", "compilers"),
    [
        ("popen", b"which nvcc\0", ["nvcc"]),
        ("posix_spawnp", b"\0nvcc -ptx\0", ["nvcc"]),
        ("popen", b"for nvcc compilers\0exists(nvcc_path)\0xnvcc\0", []),
        ("dlopen", b"libnvrtc.so.13\0bin/nvcc\0", ["nvrtc"]),
        ("popen", b"libnvrtc.so.13\0", []),
        ("memcpy", b"libnvrtc.so.13\0bin/nvcc\0", []),
    ],
)
def test_a_compiler_that_constants_name(
    function: str, constants: bytes, compilers: list[str]
) -> None:
    built = shared_library(wanted=(Wanted(function),), constants=constants)
    library, _ = elf_library(BytesSource(built.data, "x.so"), "x.so")
    assert library.compilers == compilers


def test_a_library() -> None:
    built = shared_library(
        needed=("libcudart.so.12", "libtorch.so"),
        named={Tag.SONAME: "_C.abi3.so"},
        wanted=(Wanted(NEW), Wanted("memcpy", "GLIBC_2.14"), Wanted("nvrtcCompileProgram")),
        versions={"libc.so.6": ("GLIBC_2.14",)},
        other_sections=(".hip_fatbin", ".nv_fatbin", "__CLANG_OFFLOAD_BUNDLE__sycl-spir64"),
    )
    library, _ = elf_library(BytesSource(built.data, "_C.abi3.so"), "a/_C.abi3.so")
    assert library.path == "a/_C.abi3.so"
    assert (library.size, library.machine) == (len(built.data), "x86_64")
    assert (library.soname, library.python, library.cuda_major) == ("_C.abi3.so", "abi3", 12)
    assert (library.torch_abi, library.torch_symbols) == ("cxx11", [NEW])
    assert (library.glibc, library.glibcxx, library.compilers) == ("2.14", None, ["nvrtc"])
    assert library.other_device_code == [".hip_fatbin", "__CLANG_OFFLOAD_BUNDLE__sycl-spir64"]
    assert library.not_read == []


def test_a_weak_symbol_of_torch_is_not_wanted_of_it() -> None:
    weak = "_ZTHN3c104impl26raw_local_dispatch_key_setE"
    built = shared_library(needed=("libc10.so",), wanted=(Wanted(NEW), Wanted(weak, weak=True)))
    library, _ = elf_library(BytesSource(built.data, "_C.so"), "_C.so")
    assert (library.torch_abi, library.torch_symbols) == ("cxx11", [NEW])


def test_what_is_no_library_is_invalid() -> None:
    with pytest.raises(Invalid, match="no ELF file"):
        elf_library(BytesSource(b"INPUT(-lfoo)\n" * 9, "libfoo.so"), "libfoo.so")
