#!/bin/bash
# The same stack unslimmed and slimmed, one after the other, and what the scripts beside this ask of them.
# usage: run_slim.sh OUT PARTS SMALL RETARGETED
# PARTS: a bundle of vLLM 0.25.1 as tests/gpu/verify/run_bundle.sh wants it, not reduced to a GPU.
# SMALL: the folder that build.py made. RETARGETED: _vllm_fa2_C.abi3.so, retargeted to GPU.
# GPU: what to slim to (default: sm_90). BESIDE: where the stacks go (default: /tmp).
# OUT gets vllm/ and slim/ (golden of each, and slim/compare.log), kernels.json, fa2.json, serve.json, steps.
set -u
mkdir -p "$1"
out=$(readlink -f "$1") parts=$(readlink -f "$2") small=$(readlink -f "$3") retargeted=$(readlink -f "$4")
here=$(dirname -- "$(readlink -f -- "$0")") beside=${BESIDE:-/tmp}
said() { echo "$(date -u +%T) $*" >> "$out/steps"; }
stack() { ls -dt "$beside/$1"/data/environments/*/ | head -1; }
said start
TO=$beside/stack bash "$here/../verify/run_bundle.sh" "$out/vllm" "$parts" golden > "$out/vllm.told" 2>&1
said "unslimmed: status $?"
TO=$beside/stack-slim SLIM=${GPU:-sm_90} COMPARE=$out/vllm/golden.json \
    bash "$here/../verify/run_bundle.sh" "$out/slim" "$parts" golden > "$out/slim.told" 2>&1
said "slimmed: status $?"
a=$(stack stack) b=$(stack stack-slim)
unset PYTHONPATH
export PYTHONDONTWRITEBYTECODE=1
export NCCL_NVLS_ENABLE=0 TORCH_SYMM_MEM_DISABLE_MULTICAST=1 NVSHMEM_DISABLE_NVLS=1
made() { python3 "$here/$1.py" "${@:2}" > "$out/$1.json" 2> "$out/$1.err"; said "$1: status $?"; }
made kernels "$small"
made fa2 "$a"/lib/python3*/site-packages/vllm/vllm_flash_attn/_vllm_fa2_C.abi3.so "$retargeted" --seconds 200
CUDA_VISIBLE_DEVICES=0 made serve "$a/bin/python" "$b/bin/python" --rounds 2
