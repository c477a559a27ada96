// Runs the kernels of Sources/CUDASource on this processor, for tests on machines without a card.
#ifndef CUDA_EMULATOR_H
#define CUDA_EMULATOR_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/// A kernel that has been compiled for this processor.
typedef struct EmulatedKernel EmulatedKernel;

/// Order in which the threads of a block take turns; a kernel whose results change with it has a race.
enum { ORDER_FORWARD = 0, ORDER_REVERSE = 1, ORDER_SHUFFLED = 2 };

/// The kernel, or null if there is none. `module` is the file without ".cu", and after slashes the
/// definitions that it is compiled with, as "softmax_attention/NUMBER=bf16/WIDTH=64".
const EmulatedKernel *emulated_kernel(const char *module, const char *name);

/// The name of a module by its number; null behind the last.
const char *emulated_module(int index);

/// How many values the kernel takes, and the bytes of each.
int emulated_argument_count(const EmulatedKernel *kernel);
size_t emulated_argument_bytes(const EmulatedKernel *kernel, int index);

/// Runs every block of the grid, one after the other, on the calling thread.
///
/// Dynamic shared memory and stacks begin with bit patterns that are no numbers. What a kernel does
/// wrong ends the program with a sentence that names it.
void emulate(const EmulatedKernel *kernel, const unsigned grid[3], unsigned block,
             size_t shared_bytes, void *const *arguments, int order);

/// c (+)= op(a) op(b), row-major; every element is one sum in single precision over k in order.
///
/// Types are those of cuda_source.h; a transposed operand is stored [k, m] or [n, k].
void emulated_product(int m, int n, int k, const void *a, int a_type, long long a_stride,
                      int a_transposed, const void *b, int b_type, long long b_stride,
                      int b_transposed, void *c, int c_type, long long c_stride, int accumulate);

#ifdef __cplusplus
}
#endif

#endif
