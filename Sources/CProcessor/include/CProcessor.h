#pragma once

/// Bits of `cp_missing_features`.
enum { CP_AVX2 = 1, CP_FMA = 2, CP_BMI2 = 4 };

/// What this processor lacks of what the kernels are compiled for, asked of the processor itself;
/// 0 if nothing, and always 0 where the kernels are compiled for no special processor.
unsigned cp_missing_features(void);

/// Whether this processor has the instructions on vectors of sixteen floats that the wider build of the
/// kernels is compiled for (AVX-512 F, BW, CD, DQ and VL), and the system keeps their registers.
int cp_has_avx512(void);

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

/// Tells the processor that a loop waits for another thread.
static inline void cp_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/// Asks for the line of memory that holds this address, to be read soon.
static inline void cp_prefetch(const void *address) { __builtin_prefetch(address); }
