#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_emulator.h"
#include "fake.h"

static int contexts[16];
static bool is_started;
static _Thread_local CUcontext current;

int current_card(void) {
  for (int n = 0; n < settings.cards && n < 16; n++)
    if (current == (CUcontext)&contexts[n]) return n;
  return -1;
}

bool has_context(void) { return current_card() >= 0; }

/// Work is done when it is asked for, except for what NCCL has been given: until that is done nothing
/// else of the stream is.
struct CUstream_st {
  int pending;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;

void begin_pending(CUstream stream) {
  pthread_mutex_lock(&lock);
  stream->pending++;
  pthread_mutex_unlock(&lock);
}

void end_pending(CUstream stream) {
  pthread_mutex_lock(&lock);
  stream->pending--;
  pthread_cond_broadcast(&done);
  pthread_mutex_unlock(&lock);
}

void wait_for(CUstream stream) {
  pthread_mutex_lock(&lock);
  while (stream->pending) pthread_cond_wait(&done, &lock);
  pthread_mutex_unlock(&lock);
}

CUresult cuInit(unsigned flags) {
  BEGIN;
  is_started = true;
  return settings.cards ? 0 : CUDA_ERROR_NO_DEVICE;
}

CUresult cuDriverGetVersion(int *version) { BEGIN; *version = settings.version; return 0; }

CUresult cuGetErrorName(CUresult error, const char **text) {
  static _Thread_local char name[32];
  snprintf(name, sizeof name, "CUDA_ERROR_%u", error);
  *text = name;
  return 0;
}

CUresult cuGetErrorString(CUresult error, const char **text) { *text = "as told"; return 0; }

CUresult cuDeviceGetCount(int *count) {
  BEGIN;
  if (!is_started) return 3;
  *count = settings.cards;
  return 0;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal) {
  BEGIN;
  *device = ordinal;
  return ordinal < settings.cards ? 0 : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceGetName(char *name, int length, CUdevice device) {
  BEGIN;
  snprintf(name, (size_t)length, "Card of nobody %d", device);
  return 0;
}

CUresult cuDeviceGetPCIBusId(char *text, int length, CUdevice device) {
  BEGIN;
  snprintf(text, (size_t)length, "0000:%02X:00.0", device);
  return 0;
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device) {
  BEGIN;
  switch (attribute) {
    case 16: *value = 132; return 0;
    case 75: *value = settings.capability / 10; return 0;
    case 76: *value = settings.capability % 10; return 0;
    case 115: *value = settings.pools; return 0;
  }
  misuse("nobody knows attribute %u", attribute);
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device) {
  BEGIN;
  *bytes = settings.memory;
  return 0;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *made, CUdevice device) {
  BEGIN;
  *made = (CUcontext)&contexts[device];
  return 0;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) { BEGIN; return 0; }
CUresult cuCtxSetCurrent(CUcontext made) { BEGIN; current = made; return 0; }

CUresult cuStreamCreateWithPriority(CUstream *stream, unsigned flags, int priority) {
  BEGIN;
  if (!has_context()) return 201;
  *stream = calloc(1, sizeof **stream);
  return flags == CU_STREAM_NON_BLOCKING && (priority == 0 || priority == -1) ? 0 : 1;
}

#define NEEDS_CONTEXT \
  if (!has_context()) return 201

CUresult cuStreamDestroy_v2(CUstream stream) {
  BEGIN;
  wait_for(stream);
  free(stream);
  return 0;
}

CUresult cuStreamQuery(CUstream stream) {
  BEGIN;
  NEEDS_CONTEXT;
  pthread_mutex_lock(&lock);
  int pending = stream->pending;
  pthread_mutex_unlock(&lock);
  return pending ? CUDA_ERROR_NOT_READY : 0;
}

CUresult cuStreamSynchronize(CUstream stream) {
  BEGIN;
  NEEDS_CONTEXT;
  wait_for(stream);
  return 0;
}

/// Where it was recorded.
struct CUevent_st {
  CUstream stream;
};

CUresult cuEventCreate(CUevent *event, unsigned flags) {
  BEGIN;
  NEEDS_CONTEXT;
  *event = calloc(1, sizeof **event);
  return 0;
}

CUresult cuEventDestroy_v2(CUevent event) { called(__func__); free(event); return 0; }

CUresult cuEventRecord(CUevent event, CUstream stream) {
  BEGIN;
  NEEDS_CONTEXT;
  event->stream = stream;
  return 0;
}

CUresult cuEventSynchronize(CUevent event) {
  BEGIN;
  NEEDS_CONTEXT;
  if (event->stream) wait_for(event->stream);
  return 0;
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags) {
  BEGIN;
  NEEDS_CONTEXT;
  if (!event->stream) misuse("a stream waits for an event that nothing has been recorded in");
  if (event->stream == stream) misuse("a stream waits for itself");
  wait_for(event->stream);
  return flags ? 1 : 0;
}

/// A loaded file; its name for the emulator follows in the image.
struct CUmod_st {
  char name[256];
};

CUresult cuModuleLoadData(CUmodule *module, const void *image) {
  BEGIN;
  NEEDS_CONTEXT;
  char target[32], name[256];
  if (sscanf(image, "fake %31s %255s", target, name) != 2) return CUDA_ERROR_INVALID_IMAGE;
  // Machine code runs on its own generation, text on all that follow.
  int number = atoi(strchr(target, '_') + 1), own = settings.capability;
  bool runs = target[0] == 's' ? number / 10 == own / 10 && number <= own : number <= own;
  if (!runs) return CUDA_ERROR_NO_BINARY_FOR_GPU;
  CUmodule made = malloc(sizeof *made);
  snprintf(made->name, sizeof made->name, "%s", name);
  *module = made;
  return 0;
}

CUresult cuModuleUnload(CUmodule module) { called(__func__); free(module); return 0; }

CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
  BEGIN;
  NEEDS_CONTEXT;
  *function = (CUfunction)emulated_kernel(module->name, name);
  return *function ? 0 : CUDA_ERROR_NOT_FOUND;
}

static CUfunction allowed;
static int allowed_bytes;

CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) {
  BEGIN;
  NEEDS_CONTEXT;
  if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value > 227 << 10) return 1;
  allowed = function, allowed_bytes = value;
  return 0;
}

CUresult cuLaunchKernel(CUfunction function, unsigned x, unsigned y, unsigned z, unsigned blockX,
                        unsigned blockY, unsigned blockZ, unsigned sharedBytes, CUstream stream,
                        void **arguments, void **extra) {
  BEGIN;
  NEEDS_CONTEXT;
  if (!stream || extra) return 400;
  wait_for(stream);
  if (!x || !y || !z || y > 65535 || z > 65535 || blockX > 1024 || blockY != 1 || blockZ != 1)
    return 1;
  if (sharedBytes > 48 << 10 && (function != allowed || (int)sharedBytes > allowed_bytes)) return 1;
  unsigned grid[3] = {x, y, z};
  emulate((const EmulatedKernel *)function, grid, blockX, sharedBytes, arguments, ORDER_FORWARD);
  return 0;
}
