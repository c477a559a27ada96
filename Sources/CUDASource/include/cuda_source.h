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

/// Where the rows of an attention's tensors stand. In a pass sequences lie end to end in a batch; in
/// decoding every row belongs to a stream, whose past is in memory of its own.
typedef struct {
  const int *positions;       // of every row in its sequence
  const int *starts;          // first row of every sequence and, last, N; of a pass
  int sequences;              // of a pass
  int kinds;                  // addresses for each row; of decoding
  const void *const *places;  // [N, kinds], where the first row of each kind is; null in a pass
} AttentionRows;

/// What makes a Combiner attention.
typedef struct {
  int pattern;  // 0 fixed, 1 rowmajor, 2 logsparse, 3 vertical, 4 mixture
  int heads, segment;
  int mean;     // whether pools are means, not maxima
  int address;  // of rowmajor: 0 wsum, 1 none, 2 proj
  float scale;
} CombinerParameters;

/// Regions of one kind, a row for each of a batch's positions, and what belongs to them. The last ones
/// are of the backward pass.
typedef struct {
  Matrix keys, values;               // [N, H D], [N, H E]
  Matrix queries, lse, dots;         // pools, [N, H D]; logs of denominators and <dValue, value>, [H, N]
  Matrix dKeys, dValues, dQueries;
  int *queryWinners, *keyWinners;    // positions of the maxima, [N, H D]; null where none are kept
} CombinerFamily;

typedef struct {
  Matrix q, k, v;
  CombinerFamily families[3];
} CombinerTensors;

/// What makes a YOSO attention.
typedef struct {
  int heads, bits, hashes;
  int chunk;    // of the hybrid; 0 without probabilities, more than any length without counts
  int counted;  // whether pairs outside a chunk have counts
  int exact;    // whether slopes are exact
  int codeBytes, codeRows;
  int scanned;  // length from which on sums of values come from a scan
  float unit, leastNorm;
} YosoParameters;

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
