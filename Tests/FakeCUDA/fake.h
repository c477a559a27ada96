#ifndef FAKE_H
#define FAKE_H
#include <stdbool.h>

#include "ccuda.h"
#include "cnccl.h"
#include "fake_cuda.h"

#define INTERNAL __attribute__((visibility("hidden")))

// The definitions here have the declarations by which they are called.
#define DECLARE(name, symbol, result, parameters) result symbol parameters;
CCUDA_DRIVER(DECLARE)
CCUDA_NVRTC(DECLARE)
CCUDA_CUBLASLT(DECLARE)
CCUDA_NCCL(DECLARE)

/// What is to be pretended.
typedef struct {
  int cards, capability, pools, version;
  size_t memory;
  int known[16], known_count;
  int algorithms[16], algorithm_count;
  char broken[64], report[512];
  int nccl;
} Settings;

extern INTERNAL Settings settings;

/// Counts a call; the code that it is to return, or 0.
INTERNAL unsigned called(const char *name);

/// Begins every function: fails if it was told to.
#define BEGIN                            \
  do {                                   \
    unsigned code = called(__func__);    \
    if (code) return code;               \
  } while (0)

/// Whether bytes lie in one living piece of the card's memory.
INTERNAL bool is_on_card(const void *address, size_t bytes);

INTERNAL long live_bytes(void), peak_bytes(void), live_pieces(void), pinned_bytes(void);

/// Whether the calling thread has made the context its own.
INTERNAL bool has_context(void);

/// The card whose context that is; -1 for none.
INTERNAL int current_card(void);

/// Around work that a stream has been given and that is done elsewhere.
INTERNAL void begin_pending(CUstream stream), end_pending(CUstream stream);

/// Waits for such work.
INTERNAL void wait_for(CUstream stream);

/// Ends the program: the driver did what the real library does not forgive.
INTERNAL _Noreturn void misuse(const char *format, ...);

#endif
