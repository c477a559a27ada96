// What the kernels of softmax and of hierarchical attention take by value.
#ifndef ATTENTION_H
#define ATTENTION_H

#include "cuda_source.h"

/// Sixteen rows of one sequence: the work of one warp; the same for all heads and layers.
typedef struct {
  int start;   // first position of the sequence in the batch; in decoding, the number of its stream
  int length;  // positions of the sequence; 0: no work
  int level;   // of the rows
  int row;     // the first one
  int lo, hi;  // query rows of a task of far keys; of a sum of chunks, its first row and their number
  int out;     // far row that takes the first row
  int far;     // first far row of the sequence
} AttentionTile;

/// A position of a sequence, for kernels whose work is a row.
typedef struct {
  int start;  // as in a tile
  int length;
  int position;
} AttentionRow;

/// Where the past of a stream is. Position i of it is row i of each matrix.
typedef struct {
  void *q, *k, *v;
  void *o;  // row i is that of position i, for the positions that are asked for
  void *keyMeans, *valueMeans;
  long long first;  // position that is asked for first
} AttentionStream;

/// Numbers of single precision; who is not C++ follows no such address.
#ifdef __cplusplus
typedef float *Floats;
#else
typedef void *Floats;
#endif

/// Tensors and working memory of one call. Strides are numbers from one position to the next; head h
/// begins at column h * width of a row. Positions of a batch lie end to end, or each sequence is a
/// stream with memory of its own.
typedef struct {
  void *q, *k, *v, *o, *dO;  // numbers of one type, as those that follow
  void *dq, *dk, *dv;
  Floats saved;            // [H, savedStride] natural logarithms of denominators; null in decoding
  Floats bias;             // [H, biasStride] or null
  Floats rotation;         // [positions, width], cosines and sines, or null; see attention/rotation.h
  void *streams;           // AttentionStream of every stream, or null
  void *keyMeans;          // [N, H width], a tree in order (attention/hierarchical.h)
  void *valueMeans;        // likewise
  void *gradientMeans;     // [N, H width], level after level
  Floats rowLogs;          // [H, N], likewise
  Floats rowDots;          // [H, N], likewise
  Floats dots;             // [H, N]: <dO, o>
  Floats farA, farB;       // [F, H width]: forward, values; backward, gradients of keys and values
  Floats farMax, farSum;   // [F, H], base 2
  Floats tallies;          // [H, tallyRows, biasLength]: slope of the bias, a row for every block
  int qStride, kStride, vStride, oStride, dOStride, dqStride, dkStride, dvStride;
  int savedStride, biasStride, biasLength;
  int positions, heads, blockSize, isFine;
  int group;  // heads of queries for each of keys and values: 1, but for softmax in decoding
  int tallyRows, firstTally;
  float scale;
} AttentionArguments;

/// The same for kernels that take any shape and type, whose work is a row. Where there is no such
/// tensor its base is null.
typedef struct {
  Matrix q, k, v, o, saved, bias;
  Matrix dO, dq, dk, dv, dots;
  Matrix keyMeans, valueMeans;    // floats, rows as above
  Matrix keySlopes, valueSlopes;  // floats, gradients of means
  Matrix tallies;                 // [chunks of rows, H biasLength]
  void *rows;                     // AttentionRow of every row
  void *streams;                  // AttentionStream of every stream, or null
  int heads, blockSize, isFine;
  int group;  // as above
  float scale;
} PlainAttention;

#endif
