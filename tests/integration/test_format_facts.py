"""The judge of `facts/quantisation.toml`: the engines' own classes in published wheels."""

from __future__ import annotations

import ast
import zipfile

import pytest

from sartor.facts.quantisation import dtype_of
from sartor.plan.decision import Accepted, Rejected
from sartor.plan.rules.formats import Stored, quantisation
from wheels import wheel

FOLDER = "vllm/model_executor/layers/quantization/"
CLASSES = {
    "AutoAWQConfig": Stored("awq"),
    "AutoGPTQConfig": Stored("gptq"),
    "Fp8Config": Stored("fp8"),
    "FBGEMMFp8Config": Stored("fbgemm_fp8"),
    "Mxfp4Config": Stored("mxfp4"),
    "BitsAndBytesConfig": Stored("bitsandbytes"),
    "ModelOptFp8Config": Stored("modelopt", "FP8"),
    "ModelOptNvFp4Config": Stored("modelopt", "NVFP4"),
    "ModelOptMxFp8Config": Stored("modelopt", "MXFP8"),
}
CAPABILITIES = ("6.0", "6.1", "7.0", "7.5", "8.0", "8.6", "8.9", "9.0", "10.0", "12.0")


def least_capabilities(version: str) -> dict[str, int]:
    """What `get_min_capability` of each class gives, where that is one number."""
    found = {}
    with zipfile.ZipFile(wheel(f"vllm=={version}")) as archive:
        for name in archive.namelist():
            if not (name.startswith(FOLDER) and name.endswith(".py")):
                continue
            for node in ast.walk(ast.parse(archive.read(name))):
                if isinstance(node, ast.ClassDef):
                    found.update(_of_class(node))
    return found


def _of_class(node: ast.ClassDef) -> dict[str, int]:
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name == "get_min_capability":
            values = [
                part.value.value
                for part in ast.walk(method)
                if isinstance(part, ast.Return) and isinstance(part.value, ast.Constant)
            ]
            if len(values) == 1 and isinstance(values[0], int):
                return {node.name: values[0]}
    return {}


@pytest.mark.parametrize("version", ["0.25.1", "0.32.0"])
def test_a_gpu_is_refused_where_vllm_refuses_it(version: str) -> None:
    least = least_capabilities(version)
    compared = 0
    for name, how in CLASSES.items():
        for capability in CAPABILITIES:
            decision = quantisation("vllm", version, how, capability)
            number = int(capability.replace(".", ""))
            taken = name in least and number >= least[name]
            assert isinstance(decision, Accepted if taken else Rejected), (name, capability)
            compared += 1
    assert compared == len(CLASSES) * len(CAPABILITIES)


@pytest.mark.parametrize("version", ["0.25.1", "0.32.0"])
def test_bfloat16_is_what_vllm_says_of_it(version: str) -> None:
    with zipfile.ZipFile(wheel(f"vllm=={version}")) as archive:
        text = archive.read("vllm/platforms/cuda.py").decode()
    body = text.partition("def supported_dtypes")[2].partition("def set_device")[0]
    row = dtype_of("vllm", version, "bfloat16")
    assert row is not None
    assert f"has_device_capability({row.least.replace('.', '')})" in body
    first, _, rest = body.partition("return")
    assert f"({row.least.replace('.', '')})" in first
    assert rest.split("]")[0].strip().startswith("[torch.bfloat16")
