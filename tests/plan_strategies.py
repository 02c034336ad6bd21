"""Models of any kind, for the laws of planning."""

from __future__ import annotations

from hypothesis import strategies as st

from any_hosts import sizes
from sartor.models.model import Model
from sartor.models.shape import Attention, Latent, Layer, ModelShape

models = st.none() | st.builds(
    Model,
    st.just("m"),
    st.sampled_from(["gguf", "safetensors"]),
    st.just("m"),
    size_bytes=sizes,
    context_length=st.none() | st.integers(1, 1 << 20),
    shape=st.none()
    | st.builds(
        ModelShape,
        st.just("f"),
        st.lists(
            st.builds(
                Layer,
                st.lists(
                    st.builds(Attention, st.integers(1, 64), st.integers(1, 512), st.just(64))
                    | st.builds(Latent, st.integers(1, 512), st.integers(0, 64)),
                    max_size=2,
                ),
                dense=st.integers(0, 1 << 34),
            ),
            min_size=1,
            max_size=5,
        ),
        st.integers(1, 1 << 14),
        st.integers(1, 1 << 18),
        heads=st.integers(1, 128),
        weights_bytes=st.none() | st.integers(1, 1 << 42),
    ),
)
