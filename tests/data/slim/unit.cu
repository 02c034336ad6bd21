// One translation unit: a kernel, and a function of the host that says what it was given.
template <int N>
__global__ void fill(float *out) {
    out[threadIdx.x] = N;
}

#define GLUED(a, b) a##b
#define NAMED(a, b) GLUED(a, b)

extern "C" int NAMED(host_, NUMBER)(float *out) {
    fill<NUMBER><<<1, 1>>>(out);
    return NUMBER;
}
