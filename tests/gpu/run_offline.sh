#!/bin/bash
# Runs the GPU ring, or a part of it, on a machine without a network, from wheels carried there.
# usage: run_offline.sh OUT WHEELS [llama=SDIST] [vllm=FOLDER]
#   OUT: for log and JSON; WHEELS: a folder with the wheels of requirements/run.txt, of openai, of
#   llama-cpp-python[server]'s needs and of scikit-build-core and hatchling.
#   llama: the llama-cpp-python source package; test_up_gpu.py runs with it, and needs nvcc.
#   vllm: a folder with the wheels of everything that vllm==0.25.1 wants; test_up_vllm.py runs with
#   it. repack_installed.py makes those that the machine has installed.
set -u
out=$(readlink -f "$1") wheels=$(readlink -f "$2"); shift 2
here=$(dirname -- "$(readlink -f -- "$0")")/../..
site=/tmp/sartor-site; export SARTOR_HOME=${SARTOR_HOME:-/tmp/sartor-gpu} UV_OFFLINE=1 UV_NO_INDEX=1
export PYTHONPATH=$here/src:$here/tests:$site PYTHONUNBUFFERED=1 UV_PYTHON_DOWNLOADS=never
export HOME=/tmp/sartor-user  # nothing may appear there but uv's cache
[ -d $site ] || python3 -m pip install -q --no-index --no-deps --no-compile --target $site "$wheels"/*.whl || exit 1
mkdir -p "$SARTOR_HOME/sources" "$HOME"
ring() { python3 -m pytest -p no:cacheprovider -o addopts= -rA "$@"; }
{
    date -u; nvidia-smi; nvcc --version | tail -2; python3 --version; lscpu | head -25; ldd --version | head -1
    python3 -m sartor detect --capture "$out/capture.json"
    python3 -m sartor detect --json > "$out/detect.json"
    ring "$here/tests/integration/test_detect_agrees.py"; said="detect agrees: $?"
    for part in "$@"; do
        given=$(readlink -f "${part#*=}")
        case $part in
        llama=*)
            cp "$given" "$SARTOR_HOME/sources/llama-cpp-python-0.3.36.tar.gz"
            UV_FIND_LINKS=$wheels ring --junitxml="$out/llama.xml" "$here/tests/gpu/test_up_gpu.py"
            said+="; llama.cpp: $?" ;;
        vllm=*)
            GPU_RING_VLLM=0.25.1 UV_FIND_LINKS=$given \
                ring --junitxml="$out/vllm.xml" "$here/tests/gpu/test_up_vllm.py"
            said+="; vLLM: $?" ;;
        esac
    done
    python3 -m sartor logs --stage up -n 120
    for log in "$SARTOR_HOME"/logs/build-*.log "$SARTOR_HOME"/logs/serve-*.log; do
        echo "== $log"; tail -c 6000 "$log"
    done
    echo "$said"
} 2>&1 | tee "$out/gpu.log"
