/* A libnvidia-ml.so.1 for machines without one: two GPUs, the first split by MIG, the second
   without a memory of its own. FAKE_NVML_INIT is the status that starting it returns.
   Signatures and statuses: nvml.h of the CUDA toolkit. */
#include <stdlib.h>
#include <string.h>

typedef struct device { int number; } *device;
typedef struct { unsigned long long total, free, used; } memory;
typedef struct {
    char legacy[16];
    unsigned int domain, bus, device, id, subsystem;
    char address[32];
} pci;

enum { SUCCESS = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6 };
static struct device devices[] = {{0}, {1}, {2}};

static int text(char *to, unsigned int size, const char *from) {
    strncpy(to, from, size);
    return SUCCESS;
}

int nvmlInitWithFlags(unsigned int flags) {
    const char *status = getenv("FAKE_NVML_INIT");
    return status ? atoi(status) : SUCCESS;
}
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int status) {
    switch (status) {
    case 3: return "Not Supported";
    case 4: return "Insufficient Permissions";
    case 6: return "Not Found";
    case 9: return "Driver Not Loaded";
    case 18: return "Driver/library version mismatch";
    default: return "Unknown Error";
    }
}
int nvmlSystemGetDriverVersion(char *to, unsigned int size) { return text(to, size, "595.58.03"); }
int nvmlSystemGetCudaDriverVersion_v2(int *to) { *to = 13020; return SUCCESS; }
int nvmlDeviceGetCount_v2(unsigned int *to) { *to = 2; return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, device *to) {
    *to = &devices[index];
    return SUCCESS;
}
int nvmlDeviceGetName(device of, char *to, unsigned int size) {
    static const char *names[] = {"NVIDIA H100 80GB HBM3", "NVIDIA GB10", "NVIDIA H100 80GB HBM3 MIG 1g.10gb"};
    return text(to, size, names[of->number]);
}
int nvmlDeviceGetUUID(device of, char *to, unsigned int size) {
    static const char *ids[] = {"GPU-a", "GPU-b", "MIG-c"};
    return text(to, size, ids[of->number]);
}
int nvmlDeviceGetMemoryInfo(device of, memory *to) {
    if (of->number == 1) return NOT_SUPPORTED;
    to->total = of->number == 0 ? 85520809984ull : 10468982784ull;
    return SUCCESS;
}
int nvmlDeviceGetPciInfo_v3(device of, pci *to) {
    return text(to->address, sizeof to->address, of->number ? "0000000F:01:00.0" : "00000000:1B:00.0");
}
int nvmlDeviceGetCudaComputeCapability(device of, int *major, int *minor) {
    *major = of->number == 1 ? 12 : 9;
    *minor = of->number == 1;
    return SUCCESS;
}
int nvmlDeviceGetMigMode(device of, unsigned int *current, unsigned int *pending) {
    if (of->number == 1) return NOT_SUPPORTED;
    *current = *pending = 1;
    return SUCCESS;
}
int nvmlDeviceGetMaxMigDeviceCount(device of, unsigned int *to) { *to = 7; return SUCCESS; }
int nvmlDeviceGetMigDeviceHandleByIndex(device of, unsigned int index, device *to) {
    if (index != 4) return NOT_FOUND;
    *to = &devices[2];
    return SUCCESS;
}
