#!/bin/bash
# vLLM on a GPU machine that lacks something; for a machine that is thrown away afterwards, as root:
# /usr/local/cuda and Python.h are renamed, and put back. Run after run_offline.sh, which builds the
# environment. usage: conditions.sh VLLM_WHEELS 2>&1 | tee conditions.log
here=$(dirname -- "$(readlink -f -- "$0")")/../..
export SARTOR_HOME=${SARTOR_HOME:-/tmp/sartor-gpu} HOME=/tmp/sartor-user UV_OFFLINE=1 UV_NO_INDEX=1
export UV_FIND_LINKS=$1 UV_PYTHON_DOWNLOADS=never PYTHONPATH=$here/src:/tmp/sartor-site
sartor="$(command -v python3) -m sartor" header=/usr/include/python3.12/Python.h
export PATH=/usr/local/nvidia/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
unset CUDA_HOME TORCH_CUDA_ARCH_LIST LIBRARY_PATH CUDAHOSTCXX
up() {
    echo "== $1"; rm -rf "$SARTOR_HOME/caches"
    $sartor up --engine vllm --build 0.25.1 --detach; echo "status $?"; $sartor stop --all
}
mv /usr/local/cuda /usr/local/cuda.hidden
nvidia-smi -L; echo "nvcc: $(which nvcc || echo none); /usr/local/cuda: $(ls -d /usr/local/cuda 2>/dev/null || echo none)"
up "no CUDA toolkit, as Sartor starts vLLM"
VLLM_USE_FLASHINFER_SAMPLER=1 up "no CUDA toolkit, vLLM's own default: its sampler is FlashInfer's"
mv /usr/local/cuda.hidden /usr/local/cuda; mv $header /tmp/Python.h
rm -f "$SARTOR_HOME"/environments/*/sartor-report.json; up "no headers of Python"
mv /tmp/Python.h $header
