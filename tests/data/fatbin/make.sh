#!/usr/bin/env bash
# Makes every file beside it with the CUDA toolkit (nvcc 13.0); their names say what they are.
# `expected.toml` holds what is in them, written by hand from the commands below.
set -eu
cd "$(dirname "$0")"
rm -f ./*.fatbin ./*.cubin ./*.ptx ./*.o ./*.so
both="-gencode arch=compute_80,code=sm_80 -gencode arch=compute_80,code=compute_80"
small="--compress-mode=size -Xfatbin=-compress-all"
make() { nvcc --frandom-seed=1 "$@"; }

make $both -fatbin --compress-mode=none one.cu -o plain.fatbin
make $both -fatbin --compress-mode=speed -Xfatbin=-compress-all kernels.cu -o lz4.fatbin
make $both -fatbin $small kernels.cu -o zstd.fatbin
make -fatbin $small -gencode arch=compute_90a,code=sm_90a -gencode arch=compute_90,code=sm_90 \
    -gencode arch=compute_100f,code=sm_100 -gencode arch=compute_103a,code=sm_103a \
    -gencode arch=compute_120,code=sm_120 -gencode arch=compute_120f,code=compute_120f \
    -gencode arch=compute_90a,code=compute_90a one.cu -o suffixes.fatbin
ptx="-gencode arch=compute_80,code=compute_80"
make -fatbin $small $ptx -maxrregcount=32 one.cu -o options-registers.fatbin
make -fatbin $small $ptx -Xptxas -O1 one.cu -o options-o1.fatbin
make -fatbin $small $ptx --fmad=false one.cu -o options-fmad.fatbin
make -fatbin $small $ptx -maxrregcount=32 -Xptxas -O1 --fmad=false one.cu -o options-all.fatbin
make -fatbin $small -gencode arch=compute_90,code=lto_90 -rdc=true one.cu -o lto.fatbin
make -fatbin $small -gencode arch=compute_90,code=sm_90 -G one.cu -o debug.fatbin
make -cubin -arch=sm_100f kernels.cu -o lone.cubin
make -ptx -arch=compute_90a kernels.cu -o lone.ptx
make -c $small -rdc=true -gencode arch=compute_90,code=[sm_90,compute_90] one.cu -o relocatable.o
make -shared -Xcompiler -fPIC,-O1 -cudart none $small \
    -gencode arch=compute_90,code=[sm_90,compute_90] kernels.cu -o library.so \
    -Xlinker --unresolved-symbols=ignore-all
strip -s library.so
strip -g relocatable.o
