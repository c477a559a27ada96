#pragma once

/// Bits of `cp_missing_features`.
enum { CP_AVX2 = 1, CP_FMA = 2, CP_BMI2 = 4 };

/// What this processor lacks of what the kernels are compiled for, asked of the processor itself;
/// 0 if nothing, and always 0 where the kernels are compiled for no special processor.
unsigned cp_missing_features(void);

/// Whether this processor has the instructions on vectors of sixteen floats that the wider build of the
/// kernels is compiled for (AVX-512 F, BW, CD, DQ and VL), and the system keeps their registers.
int cp_has_avx512(void);

/// Whether the module that imports this is compiled for AVX-512: flags on the command line of a build come
/// after those of a module and win.
#ifdef __AVX512F__
enum { CP_COMPILED_FOR_AVX512 = 1 };
#else
enum { CP_COMPILED_FOR_AVX512 = 0 };
#endif

/// Packs rows of a matrix into a panel `[rows, width]` of floats, only where `cp_has_avx512`, as what follows.
///
/// - `stride`: Floats from a row to the next.
/// - `count`: Columns there are; those of the panel behind them become zero.
/// - `width`: Of the panel, at most 16.
/// - `rounds`: Whether numbers are rounded to bfloat16 and the rows of each pair exchanged; a missing last
///   row is zero then.
void cp_pack_down(
    const float *from, long stride, long rows, int count, int width, float *panel, int rounds);

/// The same from rows that lie across: row `i` becomes column `i`, and the terms of each pair are exchanged.
///
/// - `last`: The last row there is; the columns of the panel behind it repeat it.
/// - `count`: Floats of a row.
/// - `width`: Of the panel, 6 or 16.
void cp_pack_across(
    const float *from, long stride, long last, long count, int width, float *panel, int rounds);

/// Whether this processor has AVX512-BF16, instructions on pairs of bfloat16, as well.
int cp_has_bfloat16_pairs(void);

/// Packs rows of a matrix into a panel of pairs `[(rows + 1) / 2, width]`: a pair is two rows of a column,
/// rounded to bfloat16, the first one below. A missing last row is zero.
///
/// Only where `cp_has_bfloat16_pairs`, as what follows.
///
/// - `stride`: Floats from a row to the next.
/// - `count`: Columns there are; those of the panel behind them become zero.
/// - `width`: Of the panel, at most 16.
void cp_pack_pairs_down(
    const float *from, long stride, long rows, int count, int width, unsigned *panel);

/// The same from rows that lie across: a pair is two neighbours of one row, and row `i` becomes column `i`.
///
/// - `last`: The last row there is; the columns of the panel behind it repeat it.
/// - `count`: Floats of a row.
/// - `width`: Of the panel, 6 or 16. With 6, two pairs behind it are overwritten.
void cp_pack_pairs_across(
    const float *from, long stride, long last, long count, int width, unsigned *panel);

/// `C (+)= A B` for a tile of one or two panels of six rows of A and one or two panels of sixteen columns
/// of B, all of pairs. A sum takes of each pair the second product, then the first, each with one rounding.
///
/// - `stride`: Floats from a row of C to the next.
/// - `a`: Panels `[pairs, 6]`.
/// - `b`: Panels `[pairs, 16]`.
void cp_multiply_pairs(
    float *c, long stride, const unsigned *a, const unsigned *b, long pairs, int is_tall,
    int is_broad, int accumulate);

/// `C (+)= A B` for a tile of one or two panels of six rows of A and one or two panels of sixteen columns
/// of B, over vectors of sixteen floats (only where `cp_has_avx512`) or of eight (AVX2 and FMA), with the
/// same bits: every element is a sum of fused multiply-adds in the order of the panels.
///
/// - `stride`: Floats from a row of C to the next.
/// - `a`: Panels `[k, 6]`.
/// - `b`: Panels `[k, 16]`.
void cp_multiply_over_sixteen(
    float *c, long stride, const float *a, const float *b, long k, int is_tall, int is_broad,
    int accumulate);
void cp_multiply_over_eight(
    float *c, long stride, const float *a, const float *b, long k, int is_tall, int is_broad,
    int accumulate);

/// From now on this thread takes floats below 2^-126 for zero, as instructions on pairs of bfloat16 always
/// do.
///
/// - Returns: What `cp_keep_subnormals` needs to go back.
unsigned cp_flush_subnormals(void);
void cp_keep_subnormals(unsigned before);

/// Processors that the calling thread may run on, by its affinity; 0 if the system does not say.
int cp_allowed_processors(void);

/// Whether the processor has instructions for SHA-256.
int cp_has_sha(void);

/// Folds `count` blocks of 64 bytes into the state `[a, ..., h]` of SHA-256 with these instructions.
///
/// - `k`: The 64 constants of the rounds.
void cp_sha256(unsigned state[8], const void *blocks, unsigned long count, const unsigned k[64]);

/// Sixteen floats, as Swift's `SIMD16<Float>`.
typedef float cp_sixteen __attribute__((ext_vector_type(16)));

/// Square roots, correctly rounded; Swift's own of a vector are sixteen calls.
__attribute__((always_inline)) static inline cp_sixteen cp_square_root(cp_sixteen x) {
  return __builtin_elementwise_sqrt(x);
}

/// Keeps the compiler from computing the halves of a vector apart where only they are read: with AVX-512 it
/// does, and takes twice the instructions.
__attribute__((always_inline)) static inline cp_sixteen cp_whole(cp_sixteen x) {
#ifdef __AVX512F__
  __asm__("" : "+v"(x));
#endif
  return x;
}

/// e to the power of every number, in the steps that `exponential` of the kernels describes; what Swift makes
/// of a comparison and a choice by it takes many instructions over sixteen lanes.
__attribute__((always_inline)) static inline cp_sixteen cp_exponential(cp_sixteen x) {
  typedef int words __attribute__((ext_vector_type(16)));
  const cp_sixteen high = 88.37626f, low = -87.33654f;
  const cp_sixteen clamped = x > high ? high : x;
  const cp_sixteen safe = clamped < low ? low : clamped;
  // 1.5 * 2^23: the integer lands in the low bits.
  const cp_sixteen magic = 12582912.0f;
  const cp_sixteen shifted = __builtin_elementwise_fma(safe, (cp_sixteen)1.44269504f, magic);
  const cp_sixteen n = shifted - magic;
  cp_sixteen r = __builtin_elementwise_fma(n, (cp_sixteen)-0.693359375f, safe);
  r = __builtin_elementwise_fma(n, (cp_sixteen)2.1219444e-4f, r);
  cp_sixteen p = __builtin_elementwise_fma(
      r, (cp_sixteen)1.98756915e-4f, (cp_sixteen)1.39819995e-3f);
  p = __builtin_elementwise_fma(p, r, (cp_sixteen)8.3334519e-3f);
  p = __builtin_elementwise_fma(p, r, (cp_sixteen)4.1665796e-2f);
  p = __builtin_elementwise_fma(p, r, (cp_sixteen)1.66666655e-1f);
  p = __builtin_elementwise_fma(p, r, (cp_sixteen)5.0000001e-1f);
  const cp_sixteen square = r * r;
  const cp_sixteen next = r + 1.0f;
  const cp_sixteen y = __builtin_elementwise_fma(p, square, next);
  const words exponent = (__builtin_bit_cast(words, shifted) << 23) + 0x3F800000;
  const cp_sixteen result = y * __builtin_bit_cast(cp_sixteen, exponent);
  return x < low ? (cp_sixteen)0.0f : result;
}

/// Tells the processor that a loop waits for another thread.
static inline void cp_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/// Asks for the line of memory that holds this address, to be read soon.
static inline void cp_prefetch(const void *address) { __builtin_prefetch(address); }
