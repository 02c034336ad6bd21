#!/bin/bash
# A bundle reduced to one GPU: installed, its vLLM's operators checked with the slimmed library and
# with the original one in its place, and the demo model served.
# usage: run_bundle_slim.sh OUT PARTS ORIGINAL
# PARTS: `sartor bundle LOCK --gpu sm_90 --there there.json --split 62M -o PARTS`, for vLLM 0.25.1.
# ORIGINAL: vllm/_C_stable_libtorch.abi3.so of vLLM's own wheel. TO: the stack's folder (/tmp/stack).
# OUT gets install.log, ops-slimmed/ and ops-original/ (engines.jsonl), up.json, logs/, steps.
set -u
mkdir -p "$1"
out=$(readlink -f "$1") parts=$(readlink -f "$2") original=$(readlink -f "$3") to=${TO:-/tmp/stack}
tree=$(dirname -- "$(readlink -f -- "$0")")/../../..
export UV_OFFLINE=1 UV_PYTHON_DOWNLOADS=never PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
export NCCL_NVLS_ENABLE=0 TORCH_SYMM_MEM_DISABLE_MULTICAST=1 NVSHMEM_DISABLE_NVLS=1 SARTOR_HOME=$to/data
unset PYTHONPATH
said() { echo "$(date -u +%T) $*" >> "$out/steps"; }
said start
nvidia-smi > "$out/nvidia-smi.txt"
{ time python3 "$parts/install.py" --to "$to" --python "$(command -v python3)"; } > "$out/install.log" 2>&1
said "install: status $?"
environment=$(ls -d "$to"/data/environments/*/ | head -1)
site=$(ls -d "$environment"/lib/python3*/site-packages)
base=$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
library=$site/vllm/_C_stable_libtorch.abi3.so
operators() {
    PYTHONPATH=$tree/src "$to/sartor/bin/python" "$tree/tests/gpu/verify/engines.py" "$out/$1" vllm \
        --programs vllm_ops --python "$environment/bin/python" --site "$site" "$base" > "$out/$1.log" 2>&1
    said "$1: status $?"
}
operators ops-slimmed
cp "$library" "$to/slimmed.so"
rm "$library" && cp "$original" "$library"
operators ops-original
rm "$library" && mv "$to/slimmed.so" "$library"
{ time "$to/sartor/bin/sartor" up --bundle "$to/bundle" --detach --json; } > "$out/up.json" 2> "$out/up.err"
said "up: status $?"
cp -r "$to/data/logs" "$out/"
"$to/sartor/bin/sartor" stop --all > "$out/stop.log" 2>&1
