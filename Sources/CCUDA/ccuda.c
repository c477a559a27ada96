#include "ccuda.h"

#include <dlfcn.h>

#include "cnccl.h"

// An object pointer may be turned into a function by its bytes alone.
#define FIND(name, symbol, result, parameters)          \
  *(void **)&functions->name = dlsym(library, #symbol); \
  if (!functions->name) return #symbol;

const char *ccuda_driver_functions(void *library, CUDADriverFunctions *functions) {
  CCUDA_DRIVER(FIND)
  return 0;
}

const char *ccuda_nvrtc_functions(void *library, NVRTCFunctions *functions) {
  CCUDA_NVRTC(FIND)
  return 0;
}

const char *ccuda_cublaslt_functions(void *library, CUBLASLtFunctions *functions) {
  CCUDA_CUBLASLT(FIND)
  return 0;
}

const char *ccuda_nccl_functions(void *library, NCCLFunctions *functions) {
  CCUDA_NCCL(FIND)
  return 0;
}
