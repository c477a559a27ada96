#pragma once

/// Bits of `cp_missing_features`.
enum { CP_AVX2 = 1, CP_FMA = 2, CP_BMI2 = 4 };

/// What this processor lacks of what the kernels are compiled for, asked of the processor itself;
/// 0 if nothing, and always 0 where the kernels are compiled for no special processor.
unsigned cp_missing_features(void);

/// Asks for the line of memory that holds this address, to be read soon.
static inline void cp_prefetch(const void *address) { __builtin_prefetch(address); }
