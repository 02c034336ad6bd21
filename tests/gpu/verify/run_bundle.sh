#!/bin/bash
# A stack out of a bundle, installed and verified on a machine with a GPU and without a network.
# usage: run_bundle.sh OUT PARTS [GRADE]     OUT gets install.log and GRADE.{json,log}
# PARTS: the folder that all parts of the bundle were carried to, with bundle.json and install.py:
#   sartor bundle LOCK --there there.json --split 62M -o PARTS      (there.json: `pip list` there)
# BASE: the interpreter whose packages were left out of the bundle (default: python3).
# RESTORE: projects that the machine itself has altered since (a company's or a sandbox's
#   certificates in certifi): put back from the bundle's wheels right before the proof.
# VERIFY_JIT: seconds for the driver's compiler (default 600).
# SLIM: a GPU (sm_90). The stack, and a copy of the base's own environment below it, are slimmed to it
#   before the proof; OUT gets slim.log.
# COMPARE: the report of another run; OUT gets compare.log.
set -u
mkdir -p "$1"
out=$(readlink -f "$1") parts=$(readlink -f "$2") grade=${3:-golden} to=${TO:-/tmp/stack}
export UV_OFFLINE=1 UV_PYTHON_DOWNLOADS=never PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
export NCCL_NVLS_ENABLE=0 TORCH_SYMM_MEM_DISABLE_MULTICAST=1 NVSHMEM_DISABLE_NVLS=1
unset PYTHONPATH
python=$(command -v "${BASE:-python3}")
if [ -n "${SLIM:-}" ]; then
    own=$("$python" -c 'import sys; print(sys.prefix)') base=$to-base
    rm -rf "$base" && { cp -al "$own" "$base" 2>/dev/null || { rm -rf "$base"; cp -a "$own" "$base"; }; }
    python=$base/bin/python3
fi
{
    date -u; nvidia-smi; ls -l "$parts"
    time "$python" "$parts/install.py" --check
    time "$python" "$parts/install.py" --to "$to" --python "$python"
} > "$out/install.log" 2>&1
tail -12 "$out/install.log"
export SARTOR_HOME=$to/data
environment=$(ls -dt "$to"/data/environments/*/ | head -1)
site=$(ls -d "$environment"/lib/python3*/site-packages)
for project in ${RESTORE:-}; do
    rm -rf "${site:?}/$project" && "$python" -m zipfile -e "$to"/bundle/wheels/"$project"-*.whl "$to/$project" &&
        cp -r "$to/$project/$project" "$site/"
done
if [ -n "${SLIM:-}" ]; then
    for one in "$base" "$environment"; do
        time "$to/sartor/bin/sartor" slim "$one" --gpu "$SLIM" --in-place --no-undo
    done > "$out/slim.log" 2>&1
    tail -12 "$out/slim.log"
fi
verify() {
    { time "$to/sartor/bin/sartor" verify --env "$environment" --grade "$1" --detail \
        --jit-seconds "${VERIFY_JIT:-600}" --output "$out/$1.json"; echo "status $?"; } > "$out/$1.log" 2>&1
    "$python" "$(dirname -- "$(readlink -f -- "$0")")/told.py" "$1" "$out/$1.json" /dev/null
}
verify "$grade"
[ -z "${COMPARE:-}" ] || "$to/sartor/bin/sartor" verify --compare "$COMPARE" "$out/$grade.json" > "$out/compare.log" 2>&1
