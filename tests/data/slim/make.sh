#!/usr/bin/env bash
# Makes every file beside it with the CUDA toolkit (nvcc 13.0). `units.so` has four translation
# units, each with code for some GPUs, and no symbols but those that the loader uses; `linked.so`
# has two of relocatable code, and what the device linker made of them.
set -eu
cd "$(dirname "$0")"
rm -f ./*.so
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
plain() { for sm in $1; do printf -- '-gencode arch=compute_%s,code=sm_%s ' "$sm" "$sm"; done; }
ptx() { printf -- '-gencode arch=compute_%s,code=compute_%s ' "$1" "$1"; }
make() { nvcc --frandom-seed="$1" -DNUMBER="$1" -Xcompiler -fPIC,-O1 --compress-mode=none "${@:2}"; }
shared() { nvcc -shared -cudart none "$@" -Xlinker --unresolved-symbols=ignore-all; }

make 1 -c $(plain "75 80 86 90 100 120") $(ptx 120) unit.cu -o "$work/1.o"
make 2 -c $(plain "80 90a 100f 120f") $(ptx 80) $(ptx 90) unit.cu -o "$work/2.o"
make 3 -c $(plain 80) $(ptx 80) unit.cu -o "$work/3.o"
make 4 -c $(plain "90 90a") unit.cu -o "$work/4.o"
shared "$work"/[1-4].o -o units.so
make 5 -dc $(plain "75 80 90") $(ptx 90) unit.cu -o "$work/5.o"
make 6 -dc $(plain "75 80 90") $(ptx 90) unit.cu -o "$work/6.o"
nvcc -dlink -Xcompiler -fPIC $(plain "75 80 90") "$work"/[56].o -o "$work/linked.o"
shared "$work"/[56].o "$work/linked.o" -o linked.so
strip -s units.so linked.so
