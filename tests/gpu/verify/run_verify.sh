#!/bin/bash
# `sartor verify` of a machine's own torch, whole and damaged; see README.md beside this file.
# usage: run_verify.sh OUT PART…       PART: see README.md; OUT gets PART.json, PART.log, PART.status
# Wants an NVIDIA GPU, an environment with torch for it (VERIFY_ENV; default: that of `python3`), and
# SITE, a folder with the wheels of requirements/run.txt unpacked, for Sartor itself. No network.
# VERIFY_ONLY=torch: of that environment torch and what it requires alone.
set -u
out=$(readlink -f "$1"); shift
here=$(dirname -- "$(readlink -f -- "$0")")/../../..
site=${SITE:-/tmp/sartor-site} limit=${VERIFY_SECONDS:-240} jit=${VERIFY_JIT:-800}
own=$(readlink -f "${VERIFY_ENV:-$(python3 -c 'import sys; print(sys.prefix)')}")
python=${SARTOR_PYTHON:-python3}
export PYTHONPATH=$here/src:$here/tests:$site PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
export UV_OFFLINE=1 UV_PYTHON_DOWNLOADS=never SARTOR_HOME=${SARTOR_HOME:-/tmp/sartor-gpu}
export NCCL_NVLS_ENABLE=0 TORCH_SYMM_MEM_DISABLE_MULTICAST=1 NVSHMEM_DISABLE_NVLS=1
sm=${VERIFY_SM:-90} linalg=torch/lib/libtorch_cuda_linalg.so whole=torch/lib/libtorch_cuda.so

verify() {  # PART ENVIRONMENT GRADE
    timeout -k 10 "$limit" "$python" -m sartor verify --env "$2" --grade "$3" --detail \
        ${VERIFY_ONLY:+--only "$VERIFY_ONLY"} --jit-seconds "$jit" --output "$out/$1.json" > "$out/$1.log" 2>&1
    echo $? > "$out/$1.status"
    "$python" "$here/tests/gpu/verify/told.py" "$1" "$out/$1.json" "$out/$1.status"
}
damaged() {  # PART KIND LIBRARY GRADE
    copy=$own-damaged
    rm -rf "$copy" && { cp -al "$own" "$copy" 2>/dev/null || { rm -rf "$copy"; cp -a "$own" "$copy"; }; } &&
        "$python" "$here/tests/gpu/verify/damage.py" "$2" "$copy" "$3" "$sm" | tee "$out/$1.damage" &&
        jit=0 verify "$1" "$copy" "$4"
    rm -rf "$copy"
}
for part in "$@"; do
    date -u +"%T $part"
    case $part in
    resolves|loads|launches|golden) verify "$part" "$own" "$part" ;;
    again) verify again "$own" golden
        "$python" -m sartor verify --compare "$out/golden.json" "$out/again.json" > "$out/compare.log" 2>&1
        echo "compare: status $?" ;;
    mutations) # the bounds of the GPU's checks tell slightly wrong operators
        timeout -k 10 "$limit" "$own/bin/python" "$here/tests/torch_mutations.py" \
            "$here/src/sartor/verify/programs" cuda > "$out/mutations.jsonl" 2> "$out/mutations.log"
        echo "mutations: status $?" ;;
    payload) damaged payload payload $linalg loads ;;
    absent) damaged absent absent $whole launches ;;
    absent-magma) damaged absent-magma absent $linalg launches ;;
    constant) damaged constant constant $whole golden ;;
    *) echo "no such part: $part"; exit 2 ;;
    esac
done
