"""Write `src/sartor/facts/families.toml`: what a `config.json` means where it is silent.

Run with a Python that has transformers, whose configuration classes are the source:
`python tools/make_families.py > src/sartor/facts/families.toml`. What the readers of
`sartor.models` ask for and a family has a default of its own for is written; nothing else.
"""

from __future__ import annotations

import datetime
import sys

FAMILIES = """
apertus arcee bamba cohere cohere2 dbrx deepseek_v2 deepseek_v3 ernie4_5 ernie4_5_moe exaone4
falcon falcon_h1 falcon_mamba gemma gemma2 gemma3_text glm glm4 glm4_moe gpt2 gpt_bigcode gpt_neox
gpt_oss granite granitemoe granitemoehybrid hunyuan_v1_dense hunyuan_v1_moe jamba lfm2 lfm2_moe
llama llama4_text mamba mamba2 minicpm3 minimax ministral mistral mixtral nemotron nemotron_h olmo
olmo2 olmo3 olmoe opt phi phi3 phimoe qwen2 qwen2_moe qwen3 qwen3_moe qwen3_next qwen3_5_text
qwen3_5_moe_text seed_oss smollm3 stablelm starcoder2 zamba2
"""

KEYS = """
attention_bias attention_chunk_size attn_layer_offset attn_layer_period conv_L_cache conv_kernel
decoder_sparse_step expand expert_layer_offset expert_layer_period first_k_dense_replace
full_attention_interval head_dim hidden_act hidden_activation hidden_size
interleave_moe_layer_step intermediate_size kv_lora_rank linear_conv_kernel_dim
linear_key_head_dim linear_num_key_heads linear_num_value_heads linear_value_head_dim mamba_d_conv
mamba_d_head mamba_d_ssm mamba_d_state mamba_expand mamba_head_dim mamba_n_groups mamba_n_heads
mamba_num_heads max_position_embeddings max_window_layers mlp_bias mlp_hidden_act
moe_intermediate_size n_groups n_routed_experts n_shared_experts num_attention_heads num_experts
num_heads num_hidden_layers num_key_value_heads num_local_experts q_lora_rank qk_nope_head_dim
qk_rope_head_dim shared_expert_intermediate_size shared_intermediate_size sliding_window
sliding_window_pattern ssm_state_size state_size tie_word_embeddings use_sliding_window v_head_dim
vocab_size
"""


# What the configuration classes do not say, read in the model classes beside them: two matrices in
# the feed-forward part in place of three; a gate in the attention's query projection; the dtype of
# a state that vLLM keeps in 32 bits for this family (vllm/model_executor/models/config.py, 0.25.1).
PLAIN_MLP = """
falcon gpt2 gpt_bigcode gpt_neox nemotron nemotron_h opt phi starcoder2
"""
QUERY_GATE = """
qwen3_next qwen3_5_text qwen3_5_moe_text
"""
PRECISE_STATE = ["nemotron_h"]


def value(item: object) -> str:
    """``item`` as TOML has it."""
    if isinstance(item, bool):
        return "true" if item else "false"
    return f'"{item}"' if isinstance(item, str) else str(item)


def period(kinds: list[str] | None) -> list[str]:
    """The shortest run of layer kinds that, repeated, gives ``kinds``; empty for one kind alone."""
    if not kinds or len(set(kinds)) < 2:
        return []
    for size in range(2, min(17, len(kinds))):
        if all(kind == kinds[n % size] for n, kind in enumerate(kinds)):
            return kinds[:size]
    return []


def main() -> None:
    """Print one row for each family."""
    import transformers
    from transformers import CONFIG_MAPPING

    print(
        "# Written by tools/make_families.py; one row for each `model_type`. `defaults` hold where"
    )
    print("# a config.json does not state a key.")
    for name in FAMILIES.split():
        if name not in CONFIG_MAPPING:
            print(f"{name}: not in transformers {transformers.__version__}", file=sys.stderr)
            continue
        kind = CONFIG_MAPPING[name]
        config = kind()
        pairs = {k: getattr(config, k, None) for k in KEYS.split()}
        kept = {k: v for k, v in pairs.items() if isinstance(v, bool | int | str)}
        print(f'\n[[family]]\nmodel_type = "{name}"')
        print(
            f'source = "transformers {transformers.__version__}, {kind.__module__}.{kind.__name__}"'
        )
        print(f"checked_on = {datetime.datetime.now(tz=datetime.UTC).date()}")
        for words, names in (
            ("gated_mlp = false", PLAIN_MLP.split()),
            ("query_gate = true", QUERY_GATE.split()),
            ("precise_state = true", PRECISE_STATE),
        ):
            if name in names:
                print(words)
        if pattern := period(getattr(config, "layer_types", None)):
            print(f"layer_period = [{', '.join(map(value, pattern))}]")
        print("[family.defaults]")
        for key, item in kept.items():
            print(f"{key} = {value(item)}")


if __name__ == "__main__":
    main()
