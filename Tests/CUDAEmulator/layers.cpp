// The kernels whose matrices may have either type.
#include "device.h"

#define EMULATED_MODULE "memory"
namespace memory {
#include "memory.cu"
}
#undef EMULATED_MODULE

#define EMULATED_MODULE "rms_norm"
namespace rms_norm {
#include "rms_norm.cu"
}
#undef EMULATED_MODULE

#define EMULATED_MODULE "sum_rows"
namespace sum_rows {
#include "sum_rows.cu"
}
#undef EMULATED_MODULE
