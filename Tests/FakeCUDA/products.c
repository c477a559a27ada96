#include <stdlib.h>
#include <string.h>

#include "cuda_emulator.h"
#include "cuda_source.h"
#include "fake.h"

/// Algorithms that can be proposed.
enum {
  GOOD = 1,
  SPLITS = 2,           // cuts the depth into four parts
  MINDS_ROWS = 3,       // other bits where there are many rows
  CHANGES = 4,          // other bits every time
  REFUSES_FEW = 5,      // says so when it is asked
  WANTS_MORE = 6,       // more workspace than there is
  REFUSES_SILENTLY = 7, // says so only when it is run
  GOOD_TOO = 8,
  MINDS_PARTS = 9, // other bits where there are several matrices
};

struct cublasLtContext {
  int unused;
};
struct CCUDALayout {
  unsigned type;
  uint64_t rows, columns;
  int64_t leading;
  int count;        // of matrices
  int64_t offset;  // numbers from one to the next
};
struct CCUDADescription {
  int transposed[2];
};
struct CCUDAPreference {
  uint64_t workspace, implementations;
  unsigned reductions, alignments[4];
};

size_t cublasLtGetVersion(void) { return 130000; }

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle) {
  BEGIN;
  if (!has_context()) return 1;
  *handle = calloc(1, sizeof **handle);
  return 0;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { BEGIN; free(handle); return 0; }

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType type,
                                          uint64_t rows, uint64_t columns, int64_t leading) {
  BEGIN;
  if (!rows || !columns || leading < (int64_t)rows) return CUBLAS_STATUS_INVALID_VALUE;
  *layout = malloc(sizeof **layout);
  **layout = (struct CCUDALayout){type, rows, columns, leading, 1, 0};
  return 0;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                const void *value, size_t bytes) {
  BEGIN;
  if (attribute == 5 && bytes == 4) memcpy(&layout->count, value, 4);
  else if (attribute == 6 && bytes == 8) memcpy(&layout->offset, value, 8);
  else return CUBLAS_STATUS_INVALID_VALUE;
  return 0;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  BEGIN;
  free(layout);
  return 0;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *description,
                                        cublasComputeType_t compute, cudaDataType scale) {
  BEGIN;
  if (compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
  *description = calloc(1, sizeof **description);
  return 0;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t description) {
  BEGIN;
  free(description);
  return 0;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t description,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, size_t bytes) {
  BEGIN;
  if (bytes != 4 || (attribute != 3 && attribute != 4)) return CUBLAS_STATUS_INVALID_VALUE;
  memcpy(&description->transposed[attribute - 3], value, 4);
  return 0;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference) {
  BEGIN;
  *preference = malloc(sizeof **preference);
  **preference = (struct CCUDAPreference){0, ~0ull, 7, {256, 256, 256, 256}};
  return 0;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  BEGIN;
  free(preference);
  return 0;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(
    cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute,
    const void *value, size_t bytes) {
  BEGIN;
  if (bytes != (attribute == 1 || attribute == 12 ? 8 : 4)) return CUBLAS_STATUS_INVALID_VALUE;
  switch (attribute) {
    case 1: memcpy(&preference->workspace, value, 8); return 0;
    case 3: memcpy(&preference->reductions, value, 4); return 0;
    case 5:
    case 6:
    case 7:
    case 8: memcpy(&preference->alignments[attribute - 5], value, 4); return 0;
    case 12: memcpy(&preference->implementations, value, 8); return 0;
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

/// Rows and columns of an operand as it is multiplied.
static uint64_t outer(cublasLtMatrixLayout_t x, int transposed) {
  return transposed ? x->columns : x->rows;
}
static uint64_t inner(cublasLtMatrixLayout_t x, int transposed) {
  return transposed ? x->rows : x->columns;
}

/// Whether the library has such a product: d [n, m] = op(a) [n, k] op(b) [k, m], all in columns.
static bool is_product(cublasLtMatmulDesc_t description, cublasLtMatrixLayout_t a,
                       cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t d) {
  const int *transposed = description->transposed;
  return outer(a, transposed[0]) == d->rows && inner(b, transposed[1]) == d->columns &&
         inner(a, transposed[0]) == outer(b, transposed[1]) && a->type == b->type &&
         a->count == d->count && b->count == d->count &&
         (a->type == CUDA_R_16BF || d->type == CUDA_R_32F);
}

static cublasLtMatmulHeuristicResult_t proposal(int number) {
  cublasLtMatmulHeuristicResult_t result = {.wavesCount = 1};
  result.algo.data[0] = (uint64_t)number;
  result.workspaceSize = number == WANTS_MORE ? (size_t)64 << 20 : 1 << 20;
  return result;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(
    cublasLtHandle_t handle, cublasLtMatmulDesc_t description, cublasLtMatrixLayout_t a,
    cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
    cublasLtMatmulPreference_t preference, int wanted, cublasLtMatmulHeuristicResult_t results[],
    int *found) {
  BEGIN;
  *found = 0;
  if (!is_product(description, a, b, d)) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (preference->reductions != 0 || !preference->workspace) misuse("split sums are not refused");
  for (int n = 0; n < 4; n++)
    if (preference->alignments[n] != 16) misuse("alignment %u", preference->alignments[n]);
  // Whoever asks once more has been told that there is nothing else.
  static cublasLtMatmulDesc_t asked;
  if (a->type == CUDA_R_32F && preference->implementations & CCUDA_INPUT_TF32 &&
      asked != description)
    misuse("TF32 is not refused");
  asked = description;
  for (int n = 0; n < settings.algorithm_count && n < wanted; n++)
    results[(*found)++] = proposal(settings.algorithms[n]);
  return 0;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t description,
                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t *algorithm,
                                       cublasLtMatmulHeuristicResult_t *result) {
  BEGIN;
  if (!is_product(description, a, b, d)) return CUBLAS_STATUS_INVALID_VALUE;
  *result = proposal((int)algorithm->data[0]);
  return algorithm->data[0] == REFUSES_FEW && d->columns < 16 ? CUBLAS_STATUS_NOT_SUPPORTED : 0;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(
    const cublasLtMatmulAlgo_t *algorithm, cublasLtMatmulAlgoConfigAttributes_t attribute,
    void *value, size_t bytes, size_t *written) {
  BEGIN;
  if (bytes != 4) return CUBLAS_STATUS_INVALID_VALUE;
  bool splits = algorithm->data[0] == SPLITS;
  unsigned number = attribute == 0 ? (unsigned)algorithm->data[0] : attribute == 2 ? (splits ? 4 : 1)
                                                                                   : splits;
  memcpy(value, &number, 4);
  *written = 4;
  return 0;
}

/// Address and bytes of a matrix on 16 bytes, as every operand is promised.
static void must_fit(const char *name, const void *address, cublasLtMatrixLayout_t x) {
  size_t size = x->type == CUDA_R_32F ? 4 : 2;
  if ((uintptr_t)address % 16 || (size_t)x->leading * size % 16) misuse("%s is not aligned", name);
  if ((size_t)x->offset * size % 16) misuse("%s is not aligned", name);
  if (!is_on_card(address, ((x->count - 1) * (size_t)x->offset +
                            (x->columns - 1) * (size_t)x->leading + x->rows) * size))
    misuse("%s is not on the card", name);
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t description,
                              const void *alpha, const void *a, cublasLtMatrixLayout_t layoutA,
                              const void *b, cublasLtMatrixLayout_t layoutB, const void *beta,
                              const void *c, cublasLtMatrixLayout_t layoutC, void *d,
                              cublasLtMatrixLayout_t layoutD, const cublasLtMatmulAlgo_t *algorithm,
                              void *workspace, size_t workspaceBytes, cudaStream_t stream) {
  BEGIN;
  if (!has_context()) return 1;
  if (!is_product(description, layoutA, layoutB, layoutD) || c != d) return 7;
  float one = *(const float *)alpha, factor = *(const float *)beta;
  if (one != 1 || (factor != 0 && factor != 1)) return 7;
  must_fit("a", a, layoutA), must_fit("b", b, layoutB), must_fit("d", d, layoutD);
  if (!is_on_card(workspace, workspaceBytes) || !stream) misuse("no workspace, or no stream");
  int number = (int)algorithm->data[0];
  if (number == REFUSES_SILENTLY) return CUBLAS_STATUS_NOT_SUPPORTED;
  // In rows: the transposed result is the transposed operands in the other order.
  const int *transposed = description->transposed;
  int m = (int)layoutD->columns, n = (int)layoutD->rows, k = (int)inner(layoutA, transposed[0]);
#define TYPE(x) (x->type == CUDA_R_32F ? NUMBER_FLOAT : NUMBER_BF16)
#define AT(base, x) ((char *)(base) + part * x->offset * (x->type == CUDA_R_32F ? 4 : 2))
  for (int part = 0; part < layoutD->count; part++)
    emulated_product(m, n, k, AT(b, layoutB), TYPE(layoutB), layoutB->leading, transposed[1],
                     AT(a, layoutA), TYPE(layoutA), layoutA->leading, transposed[0], AT(d, layoutD),
                     TYPE(layoutD), layoutD->leading, factor == 1);
  static uint16_t times;
  uint16_t *first = d;
  if (number == MINDS_ROWS && m > 100) *first ^= 1;
  if (number == MINDS_PARTS && layoutD->count > 1) *first ^= 1;
  if (number == CHANGES) *first ^= ++times;
  return 0;
}
