/* A libcuda.so.1 for machines without one: FAKE_CUDA_GPUS names the compute capabilities of its GPUs
   (`90,120`), FAKE_CUDA_LOG a file that gets a line for each image it is handed. It reads containers
   (docs/fatbin.md) and takes the first image for the GPU: machine code of exactly that architecture,
   else PTX that is not newer, unless CUDA_DISABLE_PTX_JIT=1. The payload's first letter says what
   happens (FAKE_CUDA_LENIENT: it takes machine code for any GPU): C crash, H hang, P poison the context, R refuse, S two seconds, W words and an exit.
   Signatures, attributes and codes: cuda.h of the CUDA toolkit. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, NO_DEVICE = 100,
       INVALID_IMAGE = 200, NO_BINARY = 209, JIT_DISABLED = 223, ILLEGAL_ADDRESS = 700 };
static int capabilities[8], count, started, current = -1, poisoned;

int cuInit(unsigned int flags) {
    const char *status = getenv("FAKE_CUDA_INIT"), *at = getenv("FAKE_CUDA_GPUS");
    if (status) return atoi(status);
    for (at = at ? at : "90"; *at && count < 8; at += *at == ',') capabilities[count++] = strtol(at, (char **)&at, 10);
    started = 1;
    return count ? SUCCESS : NO_DEVICE;
}
int cuDeviceGetCount(int *to) { *to = count; return started ? SUCCESS : NOT_INITIALIZED; }
int cuDeviceGet(int *to, int ordinal) { *to = ordinal; return ordinal < count ? SUCCESS : INVALID_VALUE; }
int cuDeviceGetAttribute(int *to, int which, int device) {
    if (which != 75 && which != 76) return INVALID_VALUE;
    *to = which == 75 ? capabilities[device] / 10 : capabilities[device] % 10;
    return SUCCESS;
}
int cuDevicePrimaryCtxRetain(void **to, int device) {
    if (getenv("FAKE_CUDA_FULL")) return OUT_OF_MEMORY;
    current = device;
    *to = capabilities;
    return SUCCESS;
}
int cuCtxSetCurrent(void *context) { return context == capabilities ? SUCCESS : INVALID_VALUE; }
int cuCtxSynchronize(void) { return poisoned ? ILLEGAL_ADDRESS : SUCCESS; }
int cuMemGetInfo_v2(size_t *free, size_t *total) {
    *free = (size_t)6 << 30;
    *total = (size_t)8 << 30;
    return SUCCESS;
}
int cuModuleUnload(void *module) { return module ? SUCCESS : INVALID_VALUE; }
int cuGetErrorName(int code, const char **to) {
    switch (code) {
    case OUT_OF_MEMORY: *to = "CUDA_ERROR_OUT_OF_MEMORY"; break;
    case INVALID_IMAGE: *to = "CUDA_ERROR_INVALID_IMAGE"; break;
    case NO_BINARY: *to = "CUDA_ERROR_NO_BINARY_FOR_GPU"; break;
    case JIT_DISABLED: *to = "CUDA_ERROR_JIT_COMPILATION_DISABLED"; break;
    case ILLEGAL_ADDRESS: *to = "CUDA_ERROR_ILLEGAL_ADDRESS"; break;
    default: return INVALID_VALUE;
    }
    return SUCCESS;
}

static void note(int kind, unsigned arch, char letter) {
    char line[64];
    const char *path = getenv("FAKE_CUDA_LOG");
    int size = snprintf(line, sizeof line, "%d %u %c %d\n", kind, arch, letter, getpid());
    int file = path ? open(path, O_WRONLY | O_APPEND | O_CREAT, 0600) : -1;
    if (file >= 0 && write(file, line, size) == size) close(file);
}
static int take(const char *payload) {
    switch (*payload) {
    case 'C': *(volatile int *)0 = 0; break;
    case 'H': for (;;) pause();
    case 'P': poisoned = 1; return ILLEGAL_ADDRESS;
    case 'R': return INVALID_IMAGE;
    case 'S': sleep(2); break;
    case 'W': fprintf(stderr, "the compiler is out of words\n"); exit(7);
    }
    return poisoned ? ILLEGAL_ADDRESS : SUCCESS;
}
int cuModuleLoadData(void **module, const void *image) {
    const char *at = image, *end, *text = 0;
    unsigned newest = 0, own = capabilities[current];
    const char *disabled = getenv("CUDA_DISABLE_PTX_JIT");
    uint64_t size;
    *module = (void *)image;
    if (*(const uint32_t *)at != 0xBA55ED50) {
        note(0, 0, *at);
        return *at == '\177' ? SUCCESS : INVALID_IMAGE; /* a lone cubin */
    }
    memcpy(&size, at + 8, 8);
    for (end = at + 16 + size, at += 16; at < end;) {
        uint16_t kind = *(const uint16_t *)at;
        uint32_t header = *(const uint32_t *)(at + 4), arch = *(const uint32_t *)(at + 28);
        memcpy(&size, at + 8, 8);
        if (kind == 2 && (arch == own || getenv("FAKE_CUDA_LENIENT"))) {
            note(2, arch, at[header]);
            return take(at + header);
        }
        if (kind == 1 && arch <= own && arch >= newest) newest = arch, text = at + header;
        at += header + size;
    }
    if (!text) return NO_BINARY;
    if (disabled && !strcmp(disabled, "1")) return JIT_DISABLED;
    note(1, newest, *text);
    return take(text);
}
