// The text of the kernels, and the values that they take.
//
// Structures here are passed to kernels by value: the device, the emulator and Swift read this one
// declaration. NVRTC has no <stdint.h>, so only types of the language are used.
#ifndef CUDA_SOURCE_H
#define CUDA_SOURCE_H

/// How a number is stored.
enum { NUMBER_FLOAT = 0, NUMBER_BF16 = 1 };

/// A matrix of one device: element (r, c) is number `r * stride + c` from `base` on.
typedef struct {
  void *base;
  long long stride;
  int rows, columns;
  int type;     // NUMBER_FLOAT or NUMBER_BF16
  int aligned;  // whether eight numbers from a column that eight divides can be moved at once
} Matrix;

/// The numbers of one step of AdamW, computed in double on the host.
typedef struct {
  float beta1, oneMinusBeta1, beta2, oneMinusBeta2;
  float shrink;     // 1 - rate decay
  float stepSize;   // -rate / (1 - beta1^t)
  float rootScale;  // 1 / sqrt(1 - beta2^t)
  float epsilon;
  float gradientScale;
} AdamWNumbers;

#ifndef __CUDACC_RTC__
#ifdef __cplusplus
extern "C" {
#endif

/// A file of kernels or a header of theirs.
typedef struct {
  const char *name;  // such as "rms_norm.cu"
  const char *text;  // ends with a zero
} CUDASourceFile;

/// Every file, and how many there are.
const CUDASourceFile *cuda_source_files(int *count);

#ifdef __cplusplus
}
#endif
#endif

#endif
