#!/bin/bash
# One plan of `sartor plan vllm==0.25.1` against the machine that it was made for: which units load,
# what is compiled at first use, what is installed. Wants an NVIDIA GPU, Python 3.12 with torch 2.11.0
# (CUDA 13.0), gcc and nvcc; no network. Carried there: this repository's src and tests, msgspec, and
# SITE, a folder with vLLM's wheel unpacked and the plan's other packages:
#   sartor plan vllm==0.25.1 --host "h200, driver=580.159.04, python=3.12, glibc=2.39, arch=x86_64" --json
#   uv pip install --target SITE --no-deps --require-hashes -r …     (what the machine does not have)
# usage: run_plan.sh loads OUT NAME FOLDER[:GLOB]… [--alone COUNT:GLOB]    OUT/NAME.{no-jit,jit}.jsonl.xz
#        run_plan.sh use OUT SITE[:SITE] CASE…                             OUT/CASE.{json,log}
#        run_plan.sh there OUT SITE[:SITE]                                 OUT/there.json
# Afterwards, anywhere: judge.py PLAN.json OUT (see there).
here=$(dirname -- "$(readlink -f -- "$0")")
what=$1 out=$2; shift 2
export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
case $what in
loads)
    name=$1; shift
    export PYTHONPATH=$here/../../../src:$here/../..:$PYTHONPATH
    export CUDA_CACHE_DISABLE=1 CUDA_MODULE_LOADING=EAGER
    few=(); for word in "$@"; do [ "$word" = --alone ] && break; few+=("$word"); done
    CUDA_DISABLE_PTX_JIT=1 python3 "$here/loads.py" "$out/$name.no-jit.jsonl.xz" "${few[@]}"
    python3 "$here/loads.py" "$out/$name.jit.jsonl.xz" "$@" ;;
use)
    export PYTHONPATH=$1; shift
    watch=$(mktemp -d)/watch.so
    gcc -shared -fPIC -O2 -o "$watch" "$here/watch.c" -ldl || exit 1
    python3 "$here/first_use.py" "$out" "$watch" "$@" ;;
there)
    PYTHONPATH=$1 python3 "$here/there.py" "$out/there.json" ;;
esac
