/* A stand-in for the CUDA run time: says what it is given, and runs no kernel. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct wrapper {
    uint32_t magic, version;
    const unsigned char *data;
    void *more;
};

void **__cudaRegisterFatBinary(void *given) {
    const struct wrapper *wrapper = given;
    uint32_t magic;
    uint64_t size, sum = 0;
    memcpy(&magic, wrapper->data, 4);
    memcpy(&size, wrapper->data + 8, 8);
    for (uint64_t i = 0; i < size; i++)
        sum = sum * 31 + wrapper->data[16 + i];
    printf("unit %x %x %lu %lu\n", wrapper->magic, magic, (unsigned long)size, (unsigned long)sum);
    return given;
}

void __cudaRegisterFunction(void **unit, const char *host, char *name, const char *device) {
    (void)unit, (void)host, (void)name;
    printf("kernel %s\n", device);
}

void __cudaRegisterFatBinaryEnd(void **unit) { (void)unit; }
void __cudaUnregisterFatBinary(void **unit) { (void)unit; }
int __cudaPushCallConfiguration(void) { return 1; }
int __cudaPopCallConfiguration(void) { return 1; }
int __cudaLaunchKernel(void) { return 0; }
int __cudaGetKernel(void) { return 0; }
char __cudaInitModule(void **unit) { return unit != 0; }
