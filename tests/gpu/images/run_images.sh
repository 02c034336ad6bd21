#!/bin/bash
# Constructed and real images against the driver of this machine's GPU; wants an NVIDIA GPU and Python
# with msgspec and packaging. Beforehand, where nvcc 13.0 and the wheels are:
#   python variants.py VARIANTS; python collect.py WHEELS PART SAMPLE.tar.xz
# and afterwards: xz the logs; python judge.py LOGS COMMIT DATE
# usage: run_images.sh OUT VARIANTS SAMPLE.tar.xz… [--here FOLDER…]
here=$(dirname -- "$(readlink -f -- "$0")")
out=$1 variants=$2; shift 2
export PYTHONPATH=$here/../../../src:$here/../..:$PYTHONPATH CUDA_CACHE_DISABLE=1 PYTHONUNBUFFERED=1
nvidia-smi --query-gpu=name,compute_cap,driver_version,memory.total --format=csv,noheader
choose() { python3 "$here/choice.py" "$variants" "$@"; }
time choose "$out/choice.jsonl"
export CUDA_MODULE_LOADING=EAGER
time choose "$out/choice-eager.jsonl" --part
CUDA_FORCE_PTX_JIT=1 choose "$out/choice-force-ptx-jit.jsonl" --part
CUDA_DISABLE_PTX_JIT=1 choose "$out/choice-disable-ptx-jit.jsonl" --part
unset CUDA_MODULE_LOADING
for variable in NONE=1 CUDA_MODULE_LOADING=EAGER CUDA_FORCE_PTX_JIT=1 CUDA_DISABLE_PTX_JIT=1; do
    (export "${variable?}"; choose "$out/runtime.jsonl" --runtime)
done
export CUDA_MODULE_LOADING=EAGER
time python3 "$here/entries.py" "$out" "$@"
