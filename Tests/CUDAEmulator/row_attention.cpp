// The attentions whose rows are a warp's.
#include "combiner/plan.h"
#include "yoso/pairs.h"

#define EMULATED_MODULE "combiner/attention"
namespace combiner_attention {
#include "combiner/attention.cu"
}
#undef EMULATED_MODULE

#define EMULATED_MODULE "combiner/gradients"
namespace combiner_gradients {
#include "combiner/gradients.cu"
}
#undef EMULATED_MODULE

#define EMULATED_MODULE "combiner/projection"
namespace combiner_projection {
#include "combiner/projection.cu"
}
#undef EMULATED_MODULE

#define EMULATED_MODULE "yoso/attention"
namespace yoso_attention {
#include "yoso/attention.cu"
}
#undef EMULATED_MODULE

#define EMULATED_MODULE "yoso/gradients"
namespace yoso_gradients {
#include "yoso/gradients.cu"
}
#undef EMULATED_MODULE

#define EMULATED_MODULE "yoso/planes"
namespace yoso_planes {
#include "yoso/planes.cu"
}
#undef EMULATED_MODULE
