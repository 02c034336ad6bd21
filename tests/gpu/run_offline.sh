#!/bin/bash
# Runs the GPU ring on a machine without a network, from wheels carried there.
# usage: run_offline.sh WHEELS SDIST OUT
#   WHEELS: a folder with the wheels of requirements/run.txt, of openai, of llama-cpp-python[server]'s needs and
#           of scikit-build-core and hatchling; SDIST: the llama-cpp-python source package; OUT: for log and JSON
set -u
wheels=$(readlink -f "$1") sdist=$(readlink -f "$2") out=$(readlink -f "$3")
here=$(dirname -- "$(readlink -f -- "$0")")/../..
site=/tmp/sartor-site; export SARTOR_HOME=/tmp/sartor-gpu UV_OFFLINE=1 UV_NO_INDEX=1 UV_FIND_LINKS=$wheels
export PYTHONPATH=$here/src:$here/tests:$site PYTHONUNBUFFERED=1 UV_PYTHON_DOWNLOADS=never
[ -d $site ] || python3 -m pip install -q --no-index --no-deps --no-compile --target $site "$wheels"/*.whl || exit 1
mkdir -p $SARTOR_HOME/sources; cp "$sdist" "$SARTOR_HOME/sources/llama-cpp-python-0.3.36.tar.gz"
{
    date -u; nvidia-smi; nvcc --version | tail -2; python3 --version; lscpu | head -25; ldd --version | head -1
    python3 -m sartor detect --capture "$out/capture.json"
    python3 -m sartor detect --json > "$out/detect.json"
    python3 -m pytest -p no:cacheprovider -o addopts= -rA "$here/tests/integration/test_detect_agrees.py"; agrees=$?
    python3 -m pytest -p no:cacheprovider -o addopts= -rA --junitxml="$out/gpu.xml" "$here/tests/gpu"; status=$?
    python3 -m sartor logs --stage up -n 60
    tail -c 3000 $SARTOR_HOME/logs/build-*.log
    echo "detect agrees: $agrees; gpu ring: $status"
} 2>&1 | tee "$out/gpu.log"
