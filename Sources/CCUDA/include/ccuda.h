// What is called of libcuda, NVRTC and cuBLASLt, declared here so that a build needs nothing of CUDA.
//
// Names, types and numbers are those of cuda.h, nvrtc.h, library_types.h, cublas_api.h and cublasLt.h
// from CUDA 11.4 to 13.5; `scripts/peers/check-cuda-headers.sh` compares them with a toolkit's own.
// A field is named as in those headers; the symbol of the library stands beside it.
#ifndef CCUDA_H
#define CCUDA_H

#include <stddef.h>
#include <stdint.h>

// The comparison takes the types from the toolkit.
#ifndef CCUDA_ONLY_FUNCTIONS
typedef unsigned CUresult;
typedef int CUdevice;
typedef unsigned CUdevice_attribute;
typedef unsigned CUfunction_attribute;
typedef unsigned CUmemPool_attribute;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUmemPoolHandle_st *CUmemoryPool;

enum {
  CUDA_SUCCESS = 0,
  CUDA_ERROR_OUT_OF_MEMORY = 2,
  CUDA_ERROR_DEINITIALIZED = 4,
  CUDA_ERROR_STUB_LIBRARY = 34,
  CUDA_ERROR_DEVICE_UNAVAILABLE = 46,
  CUDA_ERROR_NO_DEVICE = 100,
  CUDA_ERROR_INVALID_DEVICE = 101,
  CUDA_ERROR_INVALID_IMAGE = 200,
  CUDA_ERROR_NO_BINARY_FOR_GPU = 209,
  CUDA_ERROR_ECC_UNCORRECTABLE = 214,
  CUDA_ERROR_NVLINK_UNCORRECTABLE = 220,
  CUDA_ERROR_UNSUPPORTED_PTX_VERSION = 222,
  CUDA_ERROR_CONTAINED = 226,
  CUDA_ERROR_NOT_FOUND = 500,
  CUDA_ERROR_NOT_READY = 600,
  CUDA_ERROR_ILLEGAL_ADDRESS = 700,
  CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES = 701,
  CUDA_ERROR_LAUNCH_TIMEOUT = 702,
  CUDA_ERROR_CONTEXT_IS_DESTROYED = 709,
  CUDA_ERROR_ASSERT = 710,
  CUDA_ERROR_HARDWARE_STACK_ERROR = 714,
  CUDA_ERROR_ILLEGAL_INSTRUCTION = 715,
  CUDA_ERROR_MISALIGNED_ADDRESS = 716,
  CUDA_ERROR_INVALID_ADDRESS_SPACE = 717,
  CUDA_ERROR_INVALID_PC = 718,
  CUDA_ERROR_LAUNCH_FAILED = 719,
  CUDA_ERROR_SYSTEM_DRIVER_MISMATCH = 803,
  CUDA_ERROR_UNKNOWN = 999,

  CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16,
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76,
  CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED = 115,

  CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8,
  CU_STREAM_NON_BLOCKING = 1,
  CU_EVENT_DISABLE_TIMING = 2,
  CU_MEMPOOL_ATTR_RELEASE_THRESHOLD = 4,
  CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT = 5,
  CU_MEMPOOL_ATTR_USED_MEM_CURRENT = 7,
};

typedef unsigned nvrtcResult;
typedef struct _nvrtcProgram *nvrtcProgram;
enum { NVRTC_SUCCESS = 0, NVRTC_ERROR_INVALID_OPTION = 5, NVRTC_ERROR_COMPILATION = 6 };

typedef unsigned cublasStatus_t;
typedef unsigned cublasComputeType_t;
typedef unsigned cudaDataType;
typedef unsigned cublasLtMatrixLayoutAttribute_t;
typedef unsigned cublasLtMatmulDescAttributes_t;
typedef unsigned cublasLtMatmulPreferenceAttributes_t;
typedef unsigned cublasLtMatmulAlgoConfigAttributes_t;
typedef struct cublasLtContext *cublasLtHandle_t;
typedef struct CCUDALayout *cublasLtMatrixLayout_t;
typedef struct CCUDADescription *cublasLtMatmulDesc_t;
typedef struct CCUDAPreference *cublasLtMatmulPreference_t;
typedef CUstream cudaStream_t;

/// How one product is computed; only good for the version of the library that it came from.
typedef struct {
  uint64_t data[8];
} cublasLtMatmulAlgo_t;

typedef struct {
  cublasLtMatmulAlgo_t algo;
  size_t workspaceSize;
  cublasStatus_t state;
  float wavesCount;
  int reserved[4];
} cublasLtMatmulHeuristicResult_t;

enum {
  CUBLAS_STATUS_SUCCESS = 0,
  CUBLAS_STATUS_ALLOC_FAILED = 3,
  CUBLAS_STATUS_INVALID_VALUE = 7,
  CUBLAS_STATUS_NOT_SUPPORTED = 15,
  CUBLAS_OP_N = 0,
  CUBLAS_OP_T = 1,
  CUBLAS_COMPUTE_32F = 68,
  CUDA_R_32F = 0,
  CUDA_R_16BF = 14,
  CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT = 5,
  CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET = 6,
  CUBLASLT_MATMUL_DESC_TRANSA = 3,
  CUBLASLT_MATMUL_DESC_TRANSB = 4,
  CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES = 1,
  CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK = 3,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES = 5,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES = 6,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES = 7,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES = 8,
  CUBLASLT_MATMUL_PREF_IMPL_MASK = 12,
  CUBLASLT_ALGO_CONFIG_ID = 0,
  CUBLASLT_ALGO_CONFIG_SPLITK_NUM = 2,
  CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME = 3,
  CUBLASLT_REDUCTION_SCHEME_NONE = 0,
  CCUDA_INPUT_TF32 = 0x04 << 16,  // CUBLASLT_NUMERICAL_IMPL_FLAGS_INPUT_TF32
};
#endif

// F(field, symbol, result, parameters)
#define CCUDA_DRIVER(F)                                                                           \
  F(cuInit, cuInit, CUresult, (unsigned int flags))                                               \
  F(cuDriverGetVersion, cuDriverGetVersion, CUresult, (int *version))                             \
  F(cuGetErrorName, cuGetErrorName, CUresult, (CUresult error, const char **text))                \
  F(cuGetErrorString, cuGetErrorString, CUresult, (CUresult error, const char **text))            \
  F(cuDeviceGetCount, cuDeviceGetCount, CUresult, (int *count))                                   \
  F(cuDeviceGet, cuDeviceGet, CUresult, (CUdevice * device, int ordinal))                         \
  F(cuDeviceGetName, cuDeviceGetName, CUresult, (char *name, int length, CUdevice device))        \
  F(cuDeviceGetAttribute, cuDeviceGetAttribute, CUresult,                                         \
    (int *value, CUdevice_attribute attribute, CUdevice device))                                  \
  F(cuDeviceTotalMem, cuDeviceTotalMem_v2, CUresult, (size_t *bytes, CUdevice device))            \
  F(cuDeviceGetPCIBusId, cuDeviceGetPCIBusId, CUresult,                                           \
    (char *text, int length, CUdevice device))                                                    \
  F(cuDevicePrimaryCtxRetain, cuDevicePrimaryCtxRetain, CUresult,                                 \
    (CUcontext * context, CUdevice device))                                                       \
  F(cuDevicePrimaryCtxRelease, cuDevicePrimaryCtxRelease_v2, CUresult, (CUdevice device))         \
  F(cuCtxSetCurrent, cuCtxSetCurrent, CUresult, (CUcontext context))                              \
  F(cuStreamCreateWithPriority, cuStreamCreateWithPriority, CUresult,                             \
    (CUstream * stream, unsigned int flags, int priority))                                        \
  F(cuStreamDestroy, cuStreamDestroy_v2, CUresult, (CUstream stream))                             \
  F(cuStreamQuery, cuStreamQuery, CUresult, (CUstream stream))                                    \
  F(cuStreamSynchronize, cuStreamSynchronize, CUresult, (CUstream stream))                        \
  F(cuStreamWaitEvent, cuStreamWaitEvent, CUresult,                                               \
    (CUstream stream, CUevent event, unsigned int flags))                                         \
  F(cuEventCreate, cuEventCreate, CUresult, (CUevent * event, unsigned int flags))                \
  F(cuEventDestroy, cuEventDestroy_v2, CUresult, (CUevent event))                                 \
  F(cuEventRecord, cuEventRecord, CUresult, (CUevent event, CUstream stream))                     \
  F(cuEventSynchronize, cuEventSynchronize, CUresult, (CUevent event))                            \
  F(cuMemGetInfo, cuMemGetInfo_v2, CUresult, (size_t *free, size_t *total))                       \
  F(cuMemAlloc, cuMemAlloc_v2, CUresult, (CUdeviceptr * address, size_t bytes))                   \
  F(cuMemFree, cuMemFree_v2, CUresult, (CUdeviceptr address))                                     \
  F(cuMemAllocAsync, cuMemAllocAsync, CUresult,                                                   \
    (CUdeviceptr * address, size_t bytes, CUstream stream))                                       \
  F(cuMemFreeAsync, cuMemFreeAsync, CUresult, (CUdeviceptr address, CUstream stream))             \
  F(cuDeviceGetDefaultMemPool, cuDeviceGetDefaultMemPool, CUresult,                               \
    (CUmemoryPool * pool, CUdevice device))                                                       \
  F(cuMemPoolSetAttribute, cuMemPoolSetAttribute, CUresult,                                       \
    (CUmemoryPool pool, CUmemPool_attribute attribute, void *value))                              \
  F(cuMemPoolGetAttribute, cuMemPoolGetAttribute, CUresult,                                       \
    (CUmemoryPool pool, CUmemPool_attribute attribute, void *value))                              \
  F(cuMemPoolTrimTo, cuMemPoolTrimTo, CUresult, (CUmemoryPool pool, size_t bytes))                \
  F(cuMemHostAlloc, cuMemHostAlloc, CUresult, (void **address, size_t bytes, unsigned int flags)) \
  F(cuMemFreeHost, cuMemFreeHost, CUresult, (void *address))                                      \
  F(cuMemcpyHtoDAsync, cuMemcpyHtoDAsync_v2, CUresult,                                            \
    (CUdeviceptr to, const void *from, size_t bytes, CUstream stream))                            \
  F(cuMemcpyDtoHAsync, cuMemcpyDtoHAsync_v2, CUresult,                                            \
    (void *to, CUdeviceptr from, size_t bytes, CUstream stream))                                  \
  F(cuMemcpyDtoDAsync, cuMemcpyDtoDAsync_v2, CUresult,                                            \
    (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream))                            \
  F(cuMemsetD32Async, cuMemsetD32Async, CUresult,                                                 \
    (CUdeviceptr address, unsigned int word, size_t count, CUstream stream))                      \
  F(cuModuleLoadData, cuModuleLoadData, CUresult, (CUmodule * module, const void *image))         \
  F(cuModuleUnload, cuModuleUnload, CUresult, (CUmodule module))                                  \
  F(cuModuleGetFunction, cuModuleGetFunction, CUresult,                                           \
    (CUfunction * function, CUmodule module, const char *name))                                   \
  F(cuFuncSetAttribute, cuFuncSetAttribute, CUresult,                                             \
    (CUfunction function, CUfunction_attribute attribute, int value))                             \
  F(cuLaunchKernel, cuLaunchKernel, CUresult,                                                     \
    (CUfunction function, unsigned int gridX, unsigned int gridY, unsigned int gridZ,             \
     unsigned int blockX, unsigned int blockY, unsigned int blockZ, unsigned int sharedBytes,     \
     CUstream stream, void **arguments, void **extra))

#define CCUDA_NVRTC(F)                                                                            \
  F(nvrtcGetErrorString, nvrtcGetErrorString, const char *, (nvrtcResult result))                 \
  F(nvrtcVersion, nvrtcVersion, nvrtcResult, (int *major, int *minor))                            \
  F(nvrtcGetNumSupportedArchs, nvrtcGetNumSupportedArchs, nvrtcResult, (int *count))              \
  F(nvrtcGetSupportedArchs, nvrtcGetSupportedArchs, nvrtcResult, (int *architectures))            \
  F(nvrtcCreateProgram, nvrtcCreateProgram, nvrtcResult,                                          \
    (nvrtcProgram * program, const char *source, const char *name, int headerCount,               \
     const char *const *headers, const char *const *headerNames))                                 \
  F(nvrtcDestroyProgram, nvrtcDestroyProgram, nvrtcResult, (nvrtcProgram * program))              \
  F(nvrtcCompileProgram, nvrtcCompileProgram, nvrtcResult,                                        \
    (nvrtcProgram program, int optionCount, const char *const *options))                          \
  F(nvrtcGetProgramLogSize, nvrtcGetProgramLogSize, nvrtcResult,                                  \
    (nvrtcProgram program, size_t * bytes))                                                       \
  F(nvrtcGetProgramLog, nvrtcGetProgramLog, nvrtcResult, (nvrtcProgram program, char *text))      \
  F(nvrtcGetCUBINSize, nvrtcGetCUBINSize, nvrtcResult, (nvrtcProgram program, size_t * bytes))    \
  F(nvrtcGetCUBIN, nvrtcGetCUBIN, nvrtcResult, (nvrtcProgram program, char *image))               \
  F(nvrtcGetPTXSize, nvrtcGetPTXSize, nvrtcResult, (nvrtcProgram program, size_t * bytes))        \
  F(nvrtcGetPTX, nvrtcGetPTX, nvrtcResult, (nvrtcProgram program, char *text))

#define CCUDA_CUBLASLT(F)                                                                         \
  F(cublasLtGetVersion, cublasLtGetVersion, size_t, (void))                                       \
  F(cublasLtCreate, cublasLtCreate, cublasStatus_t, (cublasLtHandle_t * handle))                  \
  F(cublasLtDestroy, cublasLtDestroy, cublasStatus_t, (cublasLtHandle_t handle))                  \
  F(cublasLtMatrixLayoutCreate, cublasLtMatrixLayoutCreate, cublasStatus_t,                       \
    (cublasLtMatrixLayout_t * layout, cudaDataType type, uint64_t rows, uint64_t columns,         \
     int64_t leading))                                                                            \
  F(cublasLtMatrixLayoutDestroy, cublasLtMatrixLayoutDestroy, cublasStatus_t,                     \
    (cublasLtMatrixLayout_t layout))                                                              \
  F(cublasLtMatrixLayoutSetAttribute, cublasLtMatrixLayoutSetAttribute, cublasStatus_t,             \
    (cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t attribute,                    \
     const void *value, size_t bytes))                                                            \
  F(cublasLtMatmulDescCreate, cublasLtMatmulDescCreate, cublasStatus_t,                           \
    (cublasLtMatmulDesc_t * description, cublasComputeType_t compute, cudaDataType scale))        \
  F(cublasLtMatmulDescDestroy, cublasLtMatmulDescDestroy, cublasStatus_t,                         \
    (cublasLtMatmulDesc_t description))                                                           \
  F(cublasLtMatmulDescSetAttribute, cublasLtMatmulDescSetAttribute, cublasStatus_t,               \
    (cublasLtMatmulDesc_t description, cublasLtMatmulDescAttributes_t attribute,                  \
     const void *value, size_t bytes))                                                            \
  F(cublasLtMatmulPreferenceCreate, cublasLtMatmulPreferenceCreate, cublasStatus_t,               \
    (cublasLtMatmulPreference_t * preference))                                                    \
  F(cublasLtMatmulPreferenceDestroy, cublasLtMatmulPreferenceDestroy, cublasStatus_t,             \
    (cublasLtMatmulPreference_t preference))                                                      \
  F(cublasLtMatmulPreferenceSetAttribute, cublasLtMatmulPreferenceSetAttribute, cublasStatus_t,   \
    (cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute,       \
     const void *value, size_t bytes))                                                            \
  F(cublasLtMatmulAlgoGetHeuristic, cublasLtMatmulAlgoGetHeuristic, cublasStatus_t,               \
    (cublasLtHandle_t handle, cublasLtMatmulDesc_t description, cublasLtMatrixLayout_t a,         \
     cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,                \
     cublasLtMatmulPreference_t preference, int wanted,                                           \
     cublasLtMatmulHeuristicResult_t results[], int *found))                                      \
  F(cublasLtMatmulAlgoCheck, cublasLtMatmulAlgoCheck, cublasStatus_t,                             \
    (cublasLtHandle_t handle, cublasLtMatmulDesc_t description, cublasLtMatrixLayout_t a,         \
     cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,                \
     const cublasLtMatmulAlgo_t *algorithm, cublasLtMatmulHeuristicResult_t *result))             \
  F(cublasLtMatmulAlgoConfigGetAttribute, cublasLtMatmulAlgoConfigGetAttribute, cublasStatus_t,   \
    (const cublasLtMatmulAlgo_t *algorithm, cublasLtMatmulAlgoConfigAttributes_t attribute,       \
     void *value, size_t bytes, size_t *written))                                                 \
  F(cublasLtMatmul, cublasLtMatmul, cublasStatus_t,                                               \
    (cublasLtHandle_t handle, cublasLtMatmulDesc_t description, const void *alpha, const void *a, \
     cublasLtMatrixLayout_t layoutA, const void *b, cublasLtMatrixLayout_t layoutB,               \
     const void *beta, const void *c, cublasLtMatrixLayout_t layoutC, void *d,                    \
     cublasLtMatrixLayout_t layoutD, const cublasLtMatmulAlgo_t *algorithm, void *workspace,      \
     size_t workspaceBytes, cudaStream_t stream))

#define CCUDA_FIELD(name, symbol, result, parameters) result(*name) parameters;
typedef struct {
  CCUDA_DRIVER(CCUDA_FIELD)
} CUDADriverFunctions;
typedef struct {
  CCUDA_NVRTC(CCUDA_FIELD)
} NVRTCFunctions;
typedef struct {
  CCUDA_CUBLASLT(CCUDA_FIELD)
} CUBLASLtFunctions;

// Fill a table from a library that is open; return the name of a function that it lacks, or null.
const char *ccuda_driver_functions(void *library, CUDADriverFunctions *functions);
const char *ccuda_nvrtc_functions(void *library, NVRTCFunctions *functions);
const char *ccuda_cublaslt_functions(void *library, CUBLASLtFunctions *functions);

#endif
