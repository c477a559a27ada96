// The kernels of softmax and of hierarchical attention; those of tiles for the types and widths that
// tests use.
#include "attention/hierarchical_staged.h"
#include "attention/plain.h"
#include "attention/softmax.h"

#define EMULATED_MODULE "attention/plain"
namespace plain {
#include "attention/plain.cu"
}
#undef EMULATED_MODULE

#define EMULATED_MODULE "attention/append"
namespace append {
#include "attention/append.cu"
}
#undef EMULATED_MODULE

#define EMULATED_MODULE "attention/tallies"
namespace tallies {
#include "attention/tallies.cu"
}
#undef EMULATED_MODULE

#define NUMBER float
#define WIDTH 32
#define MODULE(file) "attention/" file "/NUMBER=float/WIDTH=32"
namespace float32 {
#include "attention_tiles.h"
}
#undef WIDTH
#undef MODULE

#define WIDTH 48
#define MODULE(file) "attention/" file "/NUMBER=float/WIDTH=48"
namespace float48 {
#include "attention_tiles.h"
}
#undef WIDTH
#undef MODULE

#define WIDTH 64
#define MODULE(file) "attention/" file "/NUMBER=float/WIDTH=64"
namespace float64 {
#include "attention_tiles.h"
}
#undef NUMBER
#undef WIDTH
#undef MODULE

#define NUMBER bf16
#define WIDTH 32
#define MODULE(file) "attention/" file "/NUMBER=bf16/WIDTH=32"
namespace brain32 {
#include "attention_tiles.h"
}
#undef WIDTH
#undef MODULE

#define WIDTH 48
#define MODULE(file) "attention/" file "/NUMBER=bf16/WIDTH=48"
namespace brain48 {
#include "attention_tiles.h"
}
#undef WIDTH
#undef MODULE

#define WIDTH 64
#define MODULE(file) "attention/" file "/NUMBER=bf16/WIDTH=64"
namespace brain64 {
#include "attention_tiles.h"
}
