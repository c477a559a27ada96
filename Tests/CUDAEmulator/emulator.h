// What CUDA's language has and C++ lacks, and how a block of threads runs on one thread of this
// processor.
//
// Every thread of a block is a fiber with a stack of its own; the fibers of a block take turns, so a
// run is repeatable. A fiber gives its turn up only in __syncthreads, __syncwarp, a shuffle or an mma.
// A turn goes straight from one fiber to the next by a few instructions, or, on other processors than
// x86-64 and under sanitizers, by the C library's way to change stacks.
// A barrier that some live thread never reaches ends the program with a sentence. Static shared arrays
// keep their old contents from block to block; races inside one turn, between two barriers, are not
// seen. Blocks of different launches may run on different threads at once.
#pragma once

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <functional>
#include <tuple>
#include <utility>
#include <vector>

#include "cuda_emulator.h"

#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || !defined(__x86_64__)
#define EMULATOR_IS_PORTABLE 1
#include <ucontext.h>
#else
#define EMULATOR_IS_PORTABLE 0
#endif

#define DEVICE inline
#define __forceinline__ inline
#define __restrict__ __restrict
#define __grid_constant__
#define __launch_bounds__(...)
#define SHARED(T, name, dimensions)       \
  static thread_local T name dimensions; \
  emulator::enter(&name, sizeof name)
#define DYNAMIC_SHARED(T, name) T *name = reinterpret_cast<T *>(emulator::state.shared.data())
#define KERNEL(threads, name, ...)                                                                \
  static void name(__VA_ARGS__);                                                                  \
  static const emulator::Registration name##Registration(EMULATED_MODULE, #name, threads, &name); \
  static void name(__VA_ARGS__)

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
using std::max;
using std::min;

namespace emulator {

/// Threads that meet: a block or a warp.
struct Meeting {
  int live = 0, arrived = 0;
  unsigned generation = 0;
};

/// What the lanes of a warp show each other in one operation. Two alternate: a lane can be one
/// operation ahead of the slowest, never two.
struct Board { alignas(16) unsigned char slot[32][64]; };
struct Warp { Meeting meeting; Board boards[2]; };

struct Fiber {
  dim3 threadIdx;
  int lane = 0;
  Warp *warp = nullptr;
  unsigned operation = 0;
  bool done = false;
  unsigned char *stack = nullptr;
#if EMULATOR_IS_PORTABLE
  ucontext_t here;
#else
  void *here = nullptr;  // its stack pointer; what it needs is on the stack
#endif
};

/// What one thread of this processor needs to run blocks.
struct State {
  std::vector<Fiber> fibers = std::vector<Fiber>(1024);
  std::vector<Warp> warps = std::vector<Warp>(32);
  std::vector<unsigned char> shared;
  std::vector<void *> entered;  // variables in shared memory that a thread of this block has come to
  std::vector<int> order;
  Meeting block;
  Fiber *current = nullptr;
  Fiber host;  // who runs the block
  int threads = 0, left = 0, turn = 0;
  long progress = 0, progressBefore = 0;
  const std::function<void()> *body = nullptr;
  const char *kernel = "";
  dim3 blockIdx, blockDim, gridDim;
  ~State();
};
extern thread_local State state;

void meet(Meeting &meeting);

/// A block finds in a variable what another kernel has left: bits that are no number, here.
inline void enter(void *variable, size_t bytes) {
  if (std::find(state.entered.begin(), state.entered.end(), variable) != state.entered.end()) return;
  state.entered.push_back(variable);
  memset(variable, 0xff, bytes);
}

/// Shows `value` to the warp, waits for all its live lanes and returns what they show.
template <class V> inline Board &exchange(const V &value) {
  static_assert(sizeof(V) <= 64, "board slot");
  Fiber &me = *state.current;
  Board &board = me.warp->boards[me.operation++ & 1];
  memcpy(board.slot[me.lane], &value, sizeof(V));
  meet(me.warp->meeting);
  return board;
}

/// What a lane gives to mma.sync m16n8k16, in the order of its registers.
struct TileOperands { float c[4], a[8], b[4]; };
void multiplyTiles(Board &board);

/// c += a b for the tiles of which every lane of the warp holds a share; sums run in the order of the
/// summed dimension, in single precision. The last lane that comes works for all.
inline void multiplyTile(float (&c)[4], const float (&a)[8], const float (&b)[4]) {
  Fiber &me = *state.current;
  Board &board = me.warp->boards[me.operation++ & 1];
  TileOperands &mine = *reinterpret_cast<TileOperands *>(board.slot[me.lane]);
  memcpy(mine.c, c, sizeof c), memcpy(mine.a, a, sizeof a), memcpy(mine.b, b, sizeof b);
  Meeting &meeting = me.warp->meeting;
  if (meeting.arrived + 1 == meeting.live) multiplyTiles(board);
  meet(meeting);
  memcpy(c, mine.c, sizeof c);
}

template <class V> inline V shuffle(const V &value, int from) {
  V result;
  memcpy(&result, exchange(value).slot[from & 31], sizeof(V));
  return result;
}

}  // namespace emulator

/// A kernel and the sizes of what it takes.
struct EmulatedKernel {
  const char *module, *name;
  unsigned threads;
  std::vector<size_t> sizes;
  std::function<std::function<void()>(void *const *)> bind;
};

namespace emulator {

/// Enters a kernel into the table, when the program starts.
struct Registration {
  template <class... A>
  Registration(const char *module, const char *name, unsigned threads, void (*f)(A...)) {
    add({module, name, threads, {sizeof(A)...}, [f](void *const *arguments) {
           return bindAll(f, arguments, std::index_sequence_for<A...>());
         }});
  }
  template <class... A, size_t... N>
  static std::function<void()> bindAll(
      void (*f)(A...), void *const *arguments, std::index_sequence<N...>) {
    std::tuple<A...> values(*reinterpret_cast<const A *>(arguments[N])...);
    return [f, values] { std::apply(f, values); };
  }
  static void add(EmulatedKernel kernel);
};

}  // namespace emulator

#define threadIdx (emulator::state.current->threadIdx)
#define blockIdx (emulator::state.blockIdx)
#define blockDim (emulator::state.blockDim)
#define gridDim (emulator::state.gridDim)

inline void __syncthreads() { emulator::meet(emulator::state.block); }
inline void __syncwarp(unsigned = ~0u) { emulator::exchange(0); }
template <class V> inline V __shfl_sync(unsigned, V value, int from) {
  return emulator::shuffle(value, from);
}
template <class V> inline V __shfl_xor_sync(unsigned, V value, int mask) {
  return emulator::shuffle(value, emulator::state.current->lane ^ mask);
}
template <class V> inline V __shfl_down_sync(unsigned, V value, int by) {
  int lane = emulator::state.current->lane;
  return emulator::shuffle(value, lane + by < 32 ? lane + by : lane);
}
template <class V> inline V __shfl_up_sync(unsigned, V value, int by) {
  int lane = emulator::state.current->lane;
  return emulator::shuffle(value, lane >= by ? lane - by : lane);
}
inline unsigned __ballot_sync(unsigned, int bit) {
  auto &board = emulator::exchange(bit);
  unsigned bits = 0;
  for (int lane = 0; lane < 32; lane++) {
    int theirs;
    memcpy(&theirs, board.slot[lane], sizeof theirs);
    if (theirs) bits |= 1u << lane;
  }
  return bits;
}

template <class V> inline V __ldg(const V *p) { return *p; }
inline float __uint_as_float(unsigned bits) { float x; memcpy(&x, &bits, 4); return x; }
inline unsigned __float_as_uint(float x) { unsigned bits; memcpy(&bits, &x, 4); return bits; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
/// Bytes of b (4 to 7) and of a (0 to 3) that the digits of `select` name, the lowest first.
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned select) {
  uint64_t bytes = (uint64_t)b << 32 | a;
  unsigned result = 0;
  for (int n = 0; n < 4; n++)
    result |= (unsigned)(bytes >> 8 * (select >> 4 * n & 7) & 255) << 8 * n;
  return result;
}
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((uint64_t)a * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned long long)((unsigned __int128)a * b >> 64);
}
inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline float __expf(float x) { return expf(x); }
inline float __fdividef(float x, float y) { return x / y; }
