// Three kernels, one of them of a template, and a function that is none.
__global__ void axpy(float a, const float *x, float *y) { y[threadIdx.x] += a * x[threadIdx.x]; }
template <typename T> __global__ void scale(T *y, T a) { y[threadIdx.x] *= a; }
template __global__ void scale<float>(float *, float);
__device__ __noinline__ int helper(int x) { return x * x + 3; }
__global__ void square(int *p) { p[threadIdx.x] = helper(p[threadIdx.x]); }
