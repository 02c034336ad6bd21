"""Which words name an image in a registry, and which one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartor.errors import UsageError
from sartor.remote.image_reference import may_be_image, named_image, parse_image

DIGEST = "sha256:" + "0123456789abcdef" * 4
HUB = "docker.io"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("docker://python", f"{HUB}/library/python:latest"),
        ("docker://vllm/vllm-openai", f"{HUB}/vllm/vllm-openai:latest"),
        ("docker://index.docker.io/vllm/vllm-openai:v1", f"{HUB}/vllm/vllm-openai:v1"),
        ("docker://localhost/a", "localhost/a:latest"),
        ("docker://[::1]:5000/a:1", "[::1]:5000/a:1"),
        ("vllm/vllm-openai:v0.11.0", f"{HUB}/vllm/vllm-openai:v0.11.0"),
        (f"lmsysorg/sglang@{DIGEST}", f"{HUB}/lmsysorg/sglang@{DIGEST}"),
        (f"a/b:1@{DIGEST}", f"{HUB}/a/b@{DIGEST}"),
        ("docker.io/python:3.12", f"{HUB}/library/python:3.12"),
        ("ghcr.io/owner/name", "ghcr.io/owner/name:latest"),
        (
            "nvcr.io/nvidia/tensorrt-llm/release:1.2.0",
            "nvcr.io/nvidia/tensorrt-llm/release:1.2.0",
        ),
        ("127.0.0.1:5000/site/app", "127.0.0.1:5000/site/app:latest"),
        ("registry:5000/app:1", "registry:5000/app:1"),
        ("localhost/app:1", "localhost/app:1"),
    ],
)
def test_images(text: str, shown: str) -> None:
    found = named_image(text, begins_there=False)
    assert str(found) == shown
    assert str(parse_image(str(found))) == shown


@pytest.mark.parametrize(
    "text",
    [
        "vllm",
        "vllm==0.32.0",
        "vllm[all] >=0.3,<1",
        "image:tag",
        "folder/vllm",
        "./folder/vllm:1",
        "/srv/vllm:1",
        "../ghcr.io/a",
        "venv3.12/lib",
        "dist.old/libx.so",
        "dist.old/x.whl",
        "https://x.example/a.whl",
        "oci:folder/image",
        "C:/wheels/x",
        "a/B:1",
        "",
    ],
)
def test_anything_else(text: str) -> None:
    assert named_image(text, begins_there=False) is None


def test_what_begins_here_is_a_path() -> None:
    for text in ("vllm/vllm-openai:v1", "ghcr.io/a/b"):
        assert named_image(text, begins_there=True) is None
        assert named_image(f"docker://{text}", begins_there=True) is not None


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("docker://", "docker://registry/name:tag"),
        ("docker://ghcr.io/Owner/name", "small letters"),
        ("docker://me:s3cret@ghcr.io/a/b", "docker login"),
        ("docker://a/b@sha256:123", "docker://registry/name:tag"),
        ("docker://a//b", "docker://registry/name:tag"),
    ],
)
def test_names_that_are_none(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        named_image(text, begins_there=False)
    assert hint in str(caught.value.hint)
    assert "s3cret" not in f"{caught.value.message}{caught.value.hint}"


@given(st.text(st.sampled_from("aZ0:/@._-[]%= \n\x1b"), max_size=40) | st.text(max_size=40))
def test_any_text_is_one_or_none(text: str) -> None:
    found = named_image(text, begins_there=False) if not text.startswith("docker://") else None
    if found is not None:
        assert str(found).isprintable()
        assert str(parse_image(str(found))) == str(found)
    assert may_be_image(text) in (True, False)
