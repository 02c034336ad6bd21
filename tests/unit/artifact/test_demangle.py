"""Names of C++ as people read them; judged by what the Itanium ABI's own examples say."""

from __future__ import annotations

import ctypes

import pytest

from sartor.artifact.demangle import _demangler, demangle


def test_names_and_what_is_none() -> None:
    if _demangler() is None:
        pytest.skip("this machine has no C++ library")
    names = {"_Z1fv": "f()", "_ZN1N1fIiEEvT_": "void N::f<int>(int)", "main": "main"}
    assert demangle(names) == names


def test_the_result_is_a_pointer_of_this_machine_every_time() -> None:
    function = _demangler()
    if function is None:
        pytest.skip("this machine has no C++ library")
    assert getattr(function, "restype", None) is ctypes.c_void_p
    assert _demangler() is function
