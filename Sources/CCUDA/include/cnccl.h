// What is called of NCCL, declared here so that a build needs nothing of it.
//
// Names, types and numbers are those of nccl.h from NCCL 2.13 on;
// `scripts/peers/check-cuda-headers.sh` compares them with a header.
#ifndef CNCCL_H
#define CNCCL_H

#include "ccuda.h"

#ifndef CCUDA_ONLY_FUNCTIONS
typedef unsigned ncclResult_t;
typedef unsigned ncclDataType_t;
typedef struct ncclComm *ncclComm_t;

/// By which ranks find each other; made by one of them.
typedef struct {
  char internal[128];
} ncclUniqueId;

enum {
  ncclSuccess = 0,
  ncclUnhandledCudaError = 1,
  ncclSystemError = 2,
  ncclInternalError = 3,
  ncclInvalidArgument = 4,
  ncclInvalidUsage = 5,
  ncclRemoteError = 6,
  ncclInProgress = 7,
  ncclFloat32 = 7,
};
#endif

// F(field, symbol, result, parameters)
#define CCUDA_NCCL(F)                                                                             \
  F(ncclGetVersion, ncclGetVersion, ncclResult_t, (int *version))                                 \
  F(ncclGetUniqueId, ncclGetUniqueId, ncclResult_t, (ncclUniqueId * id))                          \
  F(ncclCommInitRank, ncclCommInitRank, ncclResult_t,                                             \
    (ncclComm_t * communicator, int size, ncclUniqueId id, int rank))                             \
  F(ncclCommDestroy, ncclCommDestroy, ncclResult_t, (ncclComm_t communicator))                    \
  F(ncclCommAbort, ncclCommAbort, ncclResult_t, (ncclComm_t communicator))                        \
  F(ncclCommGetAsyncError, ncclCommGetAsyncError, ncclResult_t,                                   \
    (ncclComm_t communicator, ncclResult_t * result))                                             \
  F(ncclGetErrorString, ncclGetErrorString, const char *, (ncclResult_t result))                  \
  F(ncclGetLastError, ncclGetLastError, const char *, (ncclComm_t communicator))                  \
  F(ncclGroupStart, ncclGroupStart, ncclResult_t, (void))                                         \
  F(ncclGroupEnd, ncclGroupEnd, ncclResult_t, (void))                                             \
  F(ncclSend, ncclSend, ncclResult_t,                                                             \
    (const void *from, size_t count, ncclDataType_t type, int peer, ncclComm_t communicator,      \
     cudaStream_t stream))                                                                        \
  F(ncclRecv, ncclRecv, ncclResult_t,                                                             \
    (void *to, size_t count, ncclDataType_t type, int peer, ncclComm_t communicator,              \
     cudaStream_t stream))

typedef struct {
  CCUDA_NCCL(CCUDA_FIELD)
} NCCLFunctions;

// Fills the table from a library that is open; returns the name of a function that it lacks, or null.
const char *ccuda_nccl_functions(void *library, NCCLFunctions *functions);

#endif
