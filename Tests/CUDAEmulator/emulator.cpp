#include "emulator.h"

#undef threadIdx
#undef blockIdx
#undef blockDim
#undef gridDim

#include <map>
#include <string>

namespace emulator {

thread_local State state;

static constexpr size_t stackBytes = 256 << 10;

State::~State() {
  for (auto &fiber : fibers) free(fiber.stack);
}

[[noreturn]] static void fail(const char *problem, long number) {
  fprintf(stderr, "emulated kernel %s, block (%u, %u, %u): %ld %s\n", state.kernel,
          state.blockIdx.x, state.blockIdx.y, state.blockIdx.z, number, problem);
  abort();
}

static void yield() {
  if (!_setjmp(state.current->here)) _longjmp(state.scheduler, 1);
}

void meet(Meeting &meeting) {
  unsigned generation = meeting.generation;
  if (++meeting.arrived == meeting.live) {
    meeting.arrived = 0, meeting.generation++;
    state.progress++;
    return;
  }
  while (meeting.generation == generation) yield();
}

static void leave(Meeting &meeting) {
  if (--meeting.live > 0 && meeting.arrived == meeting.live)
    meeting.arrived = 0, meeting.generation++;
}

static void enter() {
  (*state.body)();
  leave(state.block);
  leave(state.current->warp->meeting);
  state.current->done = true;
  state.progress++;
  _longjmp(state.scheduler, 1);
}

static void resume(Fiber &fiber) {
  state.current = &fiber;
  if (_setjmp(state.scheduler)) return;
  if (fiber.started) _longjmp(fiber.here, 1);
  fiber.started = true;
  if (!fiber.stack) {
    fiber.stack = (unsigned char *)malloc(stackBytes);
    memset(fiber.stack, 0xff, stackBytes);
  }
  getcontext(&fiber.entry);
  fiber.entry.uc_stack.ss_sp = fiber.stack;
  fiber.entry.uc_stack.ss_size = stackBytes;
  fiber.entry.uc_link = nullptr;
  makecontext(&fiber.entry, enter, 0);
  setcontext(&fiber.entry);
}

static void runBlock(int threads) {
  state.block = Meeting();
  state.block.live = threads;
  for (auto &warp : state.warps) warp.meeting = Meeting();
  for (int n = 0; n < threads; n++) {
    Fiber &fiber = state.fibers[n];
    fiber.started = fiber.done = false;
    fiber.operation = 0;
    fiber.threadIdx = dim3(n);
    fiber.lane = n % 32;
    fiber.warp = &state.warps[n / 32];
    fiber.warp->meeting.live++;
  }
  for (int left = threads; left > 0;) {
    long before = state.progress;
    left = 0;
    for (int n = 0; n < threads; n++) {
      Fiber &fiber = state.fibers[state.order[n]];
      if (!fiber.done) resume(fiber);
      if (!fiber.done) left++;
    }
    if (left && state.progress == before) fail("threads wait at a barrier for ever", left);
  }
}

static void setOrder(int threads, int order) {
  state.order.resize(threads);
  for (int n = 0; n < threads; n++)
    state.order[n] = order == ORDER_REVERSE ? threads - 1 - n : n;
  if (order != ORDER_SHUFFLED) return;
  uint64_t random = 88172645463325252;  // xorshift64 (Marsaglia, 2003); the same every time
  for (int n = threads - 1; n > 0; n--) {
    random ^= random << 13, random ^= random >> 7, random ^= random << 17;
    std::swap(state.order[n], state.order[random % (n + 1)]);
  }
}

/// Kernels by module and name; made before any kernel registers.
static std::map<std::string, EmulatedKernel> &table() {
  static std::map<std::string, EmulatedKernel> kernels;
  return kernels;
}

void Registration::add(EmulatedKernel kernel) {
  table().insert({std::string(kernel.module) + "/" + kernel.name, kernel});
}

}  // namespace emulator

using namespace emulator;

const EmulatedKernel *emulated_kernel(const char *module, const char *name) {
  auto found = table().find(std::string(module) + "/" + name);
  return found == table().end() ? nullptr : &found->second;
}

const char *emulated_module(int index) {
  std::string last;
  for (auto &entry : table())
    if (entry.second.module != last) {
      if (index-- == 0) return entry.second.module;
      last = entry.second.module;
    }
  return nullptr;
}

int emulated_argument_count(const EmulatedKernel *kernel) { return (int)kernel->sizes.size(); }

size_t emulated_argument_bytes(const EmulatedKernel *kernel, int index) {
  return kernel->sizes[index];
}

void emulate(const EmulatedKernel *kernel, const unsigned grid[3], unsigned block,
             size_t sharedBytes, void *const *arguments, int order) {
  state.kernel = kernel->name;
  state.gridDim = dim3(grid[0], grid[1], grid[2]), state.blockDim = dim3(block);
  if (block < 1 || block > kernel->threads) fail("threads are not what it is declared for", block);
  if (grid[1] > 65535 || grid[2] > 65535) fail("blocks are more than a card takes", grid[1]);
  if (sharedBytes > 48 << 10) fail("bytes of shared memory are more than 48 KiB", sharedBytes);
  auto body = kernel->bind(arguments);
  state.body = &body;
  setOrder((int)block, order);
  for (unsigned z = 0; z < grid[2]; z++)
    for (unsigned y = 0; y < grid[1]; y++)
      for (unsigned x = 0; x < grid[0]; x++) {
        state.blockIdx = dim3(x, y, z);
        state.shared.assign(sharedBytes, 0xff);
        runBlock((int)block);
      }
}
