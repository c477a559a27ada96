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

// ------------------------------------------------------------------------- changing stacks

static void threadBody();

#if EMULATOR_IS_PORTABLE

static void switchTo(Fiber &from, Fiber &to) {
  state.current = &to;
  swapcontext(&from.here, &to.here);
}

static void prepare(Fiber &fiber) {
  getcontext(&fiber.here);
  fiber.here.uc_stack.ss_sp = fiber.stack;
  fiber.here.uc_stack.ss_size = stackBytes;
  fiber.here.uc_link = nullptr;
  makecontext(&fiber.here, threadBody, 0);
}

#else

// Keeps what a call must keep on the stack, and goes on with another stack.
extern "C" void emulator_switch(void **from, void *to);
asm(R"(
  .text
  .globl emulator_switch
  .type emulator_switch, @function
emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size emulator_switch, .-emulator_switch
)");

static void switchTo(Fiber &from, Fiber &to) {
  state.current = &to;
  emulator_switch(&from.here, to.here);
}

static void prepare(Fiber &fiber) {
  // As if the body had been called: above its return address lies one more that is never used.
  void **top = reinterpret_cast<void **>(fiber.stack + stackBytes) - 1;
  top[0] = nullptr;
  top[-1] = reinterpret_cast<void *>(&threadBody);
  for (int n = 2; n <= 7; n++) top[-n] = nullptr;
  fiber.here = top - 7;
}

#endif

// ----------------------------------------------------------------------------------- turns

/// The thread whose turn is next; some thread has not ended.
static Fiber &next() {
  for (;;) {
    if (++state.turn == state.threads) {
      state.turn = 0;
      if (state.progress == state.progressBefore)
        fail("threads wait at a barrier for ever", state.left);
      state.progressBefore = state.progress;
    }
    Fiber &fiber = state.fibers[state.order[state.turn]];
    if (!fiber.done) return fiber;
  }
}

static void yield() {
  Fiber &me = *state.current, &other = next();
  if (&other != &me) switchTo(me, other);
}

void meet(Meeting &meeting) {
  unsigned generation = meeting.generation;
  state.progress++;
  if (++meeting.arrived == meeting.live) {
    meeting.arrived = 0, meeting.generation++;
    return;
  }
  while (meeting.generation == generation) yield();
}

static void leave(Meeting &meeting) {
  if (--meeting.live > 0 && meeting.arrived == meeting.live)
    meeting.arrived = 0, meeting.generation++;
}

/// What a fiber runs; it never returns.
static void threadBody() {
  (*state.body)();
  leave(state.block);
  leave(state.current->warp->meeting);
  state.current->done = true;
  state.progress++;
  Fiber &me = *state.current;
  switchTo(me, --state.left > 0 ? next() : state.host);
}

static void runBlock(int threads) {
  state.block = Meeting();
  state.block.live = state.threads = state.left = threads;
  for (auto &warp : state.warps) warp.meeting = Meeting();
  for (int n = 0; n < threads; n++) {
    Fiber &fiber = state.fibers[n];
    fiber.done = false;
    fiber.operation = 0;
    fiber.threadIdx = dim3(n);
    fiber.lane = n % 32;
    fiber.warp = &state.warps[n / 32];
    fiber.warp->meeting.live++;
    if (!fiber.stack) {
      fiber.stack = (unsigned char *)aligned_alloc(64, stackBytes);
      memset(fiber.stack, 0xff, stackBytes);
    }
    prepare(fiber);
  }
  state.turn = 0;
  state.progressBefore = -1;
  switchTo(state.host, state.fibers[state.order[0]]);
}

void multiplyTiles(Board &board) {
  float a[16][16], b[16][8], c[16][8];
  auto operands = [&](int lane) {
    return reinterpret_cast<TileOperands *>(board.slot[lane]);
  };
  for (int lane = 0; lane < 32; lane++) {
    const TileOperands &x = *operands(lane);
    int g = lane / 4, t = lane % 4;
    for (int n = 0; n < 8; n++) a[g + 8 * (n / 2 % 2)][2 * t + n % 2 + 8 * (n / 4)] = x.a[n];
    for (int n = 0; n < 4; n++) {
      b[2 * t + n % 2 + 8 * (n / 2)][g] = x.b[n];
      c[g + 8 * (n / 2)][2 * t + n % 2] = x.c[n];
    }
  }
  for (int row = 0; row < 16; row++)
    for (int k = 0; k < 16; k++)
      for (int column = 0; column < 8; column++)
        c[row][column] = fmaf(a[row][k], b[k][column], c[row][column]);
  for (int lane = 0; lane < 32; lane++) {
    int g = lane / 4, t = lane % 4;
    for (int n = 0; n < 4; n++) operands(lane)->c[n] = c[g + 8 * (n / 2)][2 * t + n % 2];
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
        state.entered.clear();
        runBlock((int)block);
      }
}
