// The kernels whose matrices may have either type.
#include "device.h"

#define EMULATED_MODULE "adamw"
namespace adamw {
#include "adamw.cu"
}
#undef EMULATED_MODULE

#define EMULATED_MODULE "bias"
namespace bias {
#include "bias.cu"
}
#undef EMULATED_MODULE

#define EMULATED_MODULE "cross_entropy"
namespace cross_entropy {
#include "cross_entropy.cu"
}
#undef EMULATED_MODULE

#define EMULATED_MODULE "embedding"
namespace embedding {
#include "embedding.cu"
}
#undef EMULATED_MODULE

#define EMULATED_MODULE "memory"
namespace memory {
#include "memory.cu"
}
#undef EMULATED_MODULE

#define EMULATED_MODULE "move_average"
namespace move_average {
#include "move_average.cu"
}
#undef EMULATED_MODULE

#define EMULATED_MODULE "move_rows"
namespace move_rows {
#include "move_rows.cu"
}
#undef EMULATED_MODULE

#define EMULATED_MODULE "muon"
namespace muon {
#include "muon.cu"
}
#undef EMULATED_MODULE

#define EMULATED_MODULE "position"
namespace position {
#include "position.cu"
}
#undef EMULATED_MODULE

#define EMULATED_MODULE "repeat_heads"
namespace repeat_heads {
#include "repeat_heads.cu"
}
#undef EMULATED_MODULE

#define EMULATED_MODULE "residual"
namespace residual {
#include "residual.cu"
}
#undef EMULATED_MODULE

#define EMULATED_MODULE "rms_norm"
namespace rms_norm {
#include "rms_norm.cu"
}
#undef EMULATED_MODULE

#define EMULATED_MODULE "sum_of_squares"
namespace sum_of_squares {
#include "sum_of_squares.cu"
}
#undef EMULATED_MODULE

#define EMULATED_MODULE "sum_rows"
namespace sum_rows {
#include "sum_rows.cu"
}
#undef EMULATED_MODULE

#define EMULATED_MODULE "swiglu"
namespace swiglu {
#include "swiglu.cu"
}
#undef EMULATED_MODULE
