"""The operators of vLLM's own extension libraries: norms, activations, positions, KV cache, MoE."""

from __future__ import annotations

from typing import Any

import torch

from sartor_checks import Check, NothingToCheck, Settings, sums, vllm_quantised
from sartor_checks.operators import SUM, UNIT, Bench, Compared, Operator, exact, fitting, pairs
from sartor_checks.sums import ACTIVATIONS, EPSILON, HEADS, SIZE, TOKENS, WIDTH
from sartor_checks.vllm_library import operator, ops

CORE, CACHE = ["core operators"], ["KV cache operators"]
ROUTING, SAMPLING = ["MoE routing"], ["sampling and top-k"]
BLOCK, BLOCKS = 16, 8


def checks(settings: Settings) -> list[Check]:
    """See `sartor_checks.operators.pairs`."""
    return pairs(OPERATORS + vllm_quantised.OPERATORS, settings, "vllm operator")


def rms_norm(bench: Bench) -> Compared:
    """Root-mean-square norm."""
    call = operator("_C", "rms_norm")
    return sums.norm(bench, lambda *tensors: call(*tensors, EPSILON))


def fused_add_rms_norm(bench: Bench) -> Compared:
    """The residual added, then the norm; both are written."""
    call = operator("_C", "fused_add_rms_norm")
    return sums.added_norm(bench, lambda *tensors: call(*tensors, EPSILON))


def gated(name: str) -> Any:
    """An activation of the one half of each row, times the other half."""
    return lambda bench: sums.gated(bench, operator("_C", name), ACTIVATIONS[name])


def rotary(neox: bool, apart: bool = False) -> Any:
    """Rotary positions."""
    return lambda bench: sums.rotary(bench, operator("_C", "rotary_embedding"), neox, apart)


def merge_attention(bench: Bench) -> Compared:
    """Two parts of an attention made one."""
    operator("_C", "merge_attn_states")  # vLLM's own wrapper knows the order of the arguments
    return sums.merged(bench, ops().merge_attn_states)


def penalties(bench: Bench) -> Compared:
    """Logits of tokens that were said already, made smaller."""
    logits = bench.normal(TOKENS, 1024, dtype=torch.float32)
    before = exact(logits)
    said = [bench.integers(0, 2, TOKENS, 1024).bool() for _ in range(2)]
    penalty = 1 + bench.normal(TOKENS, dtype=torch.float32).abs()
    operator("_C", "apply_repetition_penalties_")(logits, *said, penalty)
    factor = torch.where(before > 0, 1 / exact(penalty)[:, None], exact(penalty)[:, None])
    expected = torch.where((said[0] | said[1]).cpu(), before * factor, before)
    return Compared(logits, expected, 4 * SUM * expected.abs(), "four roundings of float32")


def slots(bench: Bench) -> Any:
    """A place in the cache for each token, in no order."""
    return bench.order(BLOCK * BLOCKS)[:TOKENS]


def cache_flash(bench: Bench) -> Compared:
    """Keys and values written to the cache, in the order of FlashAttention."""
    keys, values = bench.normal(TOKENS, HEADS, SIZE), bench.normal(TOKENS, HEADS, SIZE)
    caches = [bench.empty(BLOCKS, BLOCK, HEADS, SIZE) for _ in range(2)]
    places, one = slots(bench), bench.put([1.0], torch.float32)
    write = operator("_C_cache_ops", "reshape_and_cache_flash")
    write(keys, values, *caches, places, "auto", one, one)
    expected = torch.zeros(2, BLOCKS * BLOCK, HEADS, SIZE, dtype=torch.float64)
    expected[:, places.cpu()] = torch.stack([exact(keys), exact(values)])
    output = torch.stack(caches).view(expected.shape)
    return Compared(output, expected, 0.0, "nothing, it is a copy")


def cache_paged(bench: Bench) -> Compared:
    """Keys and values written to the cache, in the order of paged attention."""
    keys, values = bench.normal(TOKENS, HEADS, SIZE), bench.normal(TOKENS, HEADS, SIZE)
    group = 16 // keys.element_size()
    key_cache = bench.empty(BLOCKS, HEADS, SIZE // group, BLOCK, group)
    value_cache = bench.empty(BLOCKS, HEADS, SIZE, BLOCK)
    places, one = slots(bench), bench.put([1.0], torch.float32)
    write = operator("_C_cache_ops", "reshape_and_cache")
    write(keys, values, key_cache, value_cache, places, "auto", one, one)
    expected = torch.zeros(2, BLOCKS * BLOCK, HEADS, SIZE, dtype=torch.float64)
    expected[:, places.cpu()] = torch.stack([exact(keys), exact(values)])
    there = [key_cache.permute(0, 3, 1, 2, 4), value_cache.permute(0, 3, 1, 2)]
    output = torch.stack([t.reshape(-1, HEADS, SIZE) for t in there])
    return Compared(output, expected, 0.0, "nothing, it is a copy")


def cache_fp8(bench: Bench) -> Compared:
    """Keys and values rounded to FP8 in the cache."""
    keys, values = bench.normal(TOKENS, HEADS, SIZE), bench.normal(TOKENS, HEADS, SIZE)
    if bench.device.type == "cpu":
        raise NothingToCheck("vLLM has no FP8 KV cache on a CPU")
    caches = [bench.empty(BLOCKS, BLOCK, HEADS, SIZE, dtype=torch.uint8) for _ in range(2)]
    places, scale = slots(bench), bench.put([0.5], torch.float32)
    write = operator("_C_cache_ops", "reshape_and_cache_flash")
    write(keys, values, *caches, places, "fp8", scale, scale)
    output = torch.stack([c.view(torch.float8_e4m3fn).float() for c in caches])
    output = output.view(2, -1, HEADS, SIZE)[:, places] * 0.5
    expected = torch.stack([exact(keys), exact(values)])
    return Compared(
        output, expected, 2.0**-4 * expected.abs() + 2.0**-11, "a rounding to FP8 (e4m3)"
    )


def cache_latent(bench: Bench) -> Compared:
    """MLA's narrow vectors written to the cache."""
    narrow, placed = bench.normal(TOKENS, 512), bench.normal(TOKENS, 64)
    cache, places = bench.empty(BLOCKS, BLOCK, 576), slots(bench)
    write = operator("_C_cache_ops", "concat_and_cache_mla")
    write(narrow, placed, cache, places, "auto", bench.put([1.0], torch.float32))
    expected = torch.zeros(BLOCKS * BLOCK, 576, dtype=torch.float64)
    expected[places.cpu()] = torch.cat([exact(narrow), exact(placed)], -1)
    return Compared(cache.view(-1, 576), expected, 0.0, "nothing, it is a copy")


def gather_cache(bench: Bench) -> Compared:
    """MLA's narrow vectors of three requests, read from the cache."""
    cache, lengths = bench.normal(BLOCKS, BLOCK, 576), [19, 32, 5]
    table = bench.order(BLOCKS)[:6].view(3, 2).to(torch.int32)
    starts = bench.put([0, 19, 51, 56], torch.int32)
    out = bench.empty(56, 576)
    operator("_C_cache_ops", "gather_and_maybe_dequant_cache")
    owners = torch.repeat_interleave(torch.arange(3), torch.tensor(lengths))
    fitting(
        ops().gather_and_maybe_dequant_cache,
        src_cache=cache,
        dst=out,
        block_table=table,
        cu_seq_lens=starts,
        token_to_seq=bench.put(owners, torch.int32),
        num_tokens=56,
        batch_size=3,
        kv_cache_dtype="auto",
        scale=bench.put([1.0], torch.float32),
    )
    rows = [exact(cache)[table[n].cpu().long()].reshape(-1, 576)[:k] for n, k in enumerate(lengths)]
    return Compared(out, torch.cat(rows), 0.0, "nothing, it is a copy")


def topk_softmax(bench: Bench) -> Compared:
    """Each token's best experts, and their weights."""
    operator("_moe_C", "topk_softmax")

    def call(weights: Any, ids: Any, scores: Any) -> None:
        places = torch.empty_like(ids)
        fitting(
            ops().topk_softmax,
            topk_weights=weights,
            topk_ids=ids,
            token_expert_indices=places,
            token_expert_indicies=places,
            gating_output=scores,
            renormalize=False,
        )

    return sums.best_experts(bench, call)


def align_blocks(bench: Bench) -> Compared:
    """Which token goes to which expert, in whole blocks; the order within an expert is free."""
    experts, size = 8, 16
    ids = bench.integers(0, experts, TOKENS, 2, dtype=torch.int32)
    most = 2 * TOKENS + experts * (size - 1)
    tokens = bench.empty(most, dtype=torch.int32)
    owners = bench.empty(-(-most // size), dtype=torch.int32)
    count = bench.empty(1, dtype=torch.int32)
    operator("_moe_C", "moe_align_block_size")
    fitting(
        ops().moe_align_block_size,
        topk_ids=ids,
        num_experts=experts,
        block_size=size,
        sorted_token_ids=tokens,
        experts_ids=owners,
        num_tokens_post_pad=count,
    )
    flat, rows = ids.cpu().flatten(), []
    for expert in range(experts):
        own = torch.nonzero(flat == expert).flatten().double()
        padding = torch.full((-len(own) % size,), float(flat.numel()), dtype=torch.float64)
        whole = torch.cat([own, padding])
        rows.append(torch.stack([whole, torch.full_like(whole, expert)]))
    expected = torch.cat(rows, -1)
    used = int(count)
    there = torch.stack([tokens.cpu()[:used], owners.cpu().repeat_interleave(size)[:used]])
    order = torch.argsort(there[1].long() * 10**6 + there[0])
    return Compared(there[:, order].float(), expected, 0.0, "nothing, it is a list")


def moe_sum(bench: Bench) -> Compared:
    """The sum of what a token's experts said."""
    terms, out = bench.normal(TOKENS, 2, WIDTH), bench.empty(TOKENS, WIDTH)
    operator("_moe_C", "moe_sum")(terms, out)
    expected = exact(terms).sum(1)
    return Compared(out, expected, 2 * bench.unit * exact(terms).abs().sum(1), "two roundings")


def hadamard(bench: Bench) -> Compared:
    """The Hadamard transform of each row."""
    x = bench.normal(TOKENS, 256)
    signs = torch.ones(1, 1, dtype=torch.float64)
    while len(signs) < 256:
        signs = torch.cat([torch.cat([signs, signs], 1), torch.cat([signs, -signs], 1)])
    expected = exact(x) @ signs / 16
    size = exact(x).pow(2).mean(-1, keepdim=True).sqrt()
    # In place, as vLLM itself calls it: else 0.25.1 writes to its input, and returns what is empty.
    out = operator("_C", "hadacore_transform")(x.clone(), True)
    why = "sixteen roundings of a row's root mean square"
    return Compared(out, expected, 16 * bench.unit * size, why)


def router_gemm(bench: Bench) -> Compared:
    """DeepSeek V3's router, at its own sizes."""
    x, weight = bench.normal(4, 7168), bench.normal(256, 7168)
    out = bench.empty(4, 256, dtype=torch.float32)
    operator("_moe_C", "dsv3_router_gemm")(out, x, weight)
    terms = exact(x).abs() @ exact(weight).abs().T
    why = "float32 sums: 7168 of their roundings"
    return Compared(out, exact(x) @ exact(weight).T, 7168 * SUM * terms, why)


def fused_a_gemm(bench: Bench) -> Compared:
    """DeepSeek V3's first projection, at its own sizes."""
    x, weight, out = bench.normal(4, 7168), bench.normal(2112, 7168), bench.empty(4, 2112)
    operator("_C", "dsv3_fused_a_gemm")(out, x, weight.T)
    expected, terms = exact(x) @ exact(weight).T, exact(x).abs() @ exact(weight).abs().T
    allowed = UNIT[torch.bfloat16] * expected.abs() + 7168 * SUM * terms
    return Compared(out, expected, allowed, "one rounding, and float32 sums")


OPERATORS = [
    Operator("rms_norm", rms_norm, CORE),
    Operator("fused_add_rms_norm", fused_add_rms_norm, CORE),
    *(Operator(name, gated(name), CORE) for name in ACTIVATIONS),
    Operator("rotary_embedding, halves", rotary(True), CORE),
    Operator("rotary_embedding, side by side", rotary(False), CORE),
    Operator("rotary_embedding, heads apart", rotary(False, apart=True), CORE),
    Operator("merge_attn_states", merge_attention, CORE),
    Operator("apply_repetition_penalties", penalties, CORE + SAMPLING),
    Operator("reshape_and_cache_flash", cache_flash, CACHE),
    Operator("reshape_and_cache_flash, FP8", cache_fp8, CACHE),
    Operator("reshape_and_cache", cache_paged, CACHE),
    Operator("concat_and_cache_mla", cache_latent, CACHE),
    Operator("gather_and_maybe_dequant_cache", gather_cache, CACHE),
    Operator("topk_softmax", topk_softmax, ROUTING),
    Operator("moe_align_block_size", align_blocks, ROUTING),
    Operator("moe_sum", moe_sum, ROUTING),
    Operator("hadacore_transform", hadamard, ["Hadamard transform"]),
    Operator("dsv3_router_gemm", router_gemm, ["DeepSeek V3 MoE router"]),
    Operator("dsv3_fused_a_gemm", fused_a_gemm, ["DeepSeek V3 low-latency projection"]),
]
