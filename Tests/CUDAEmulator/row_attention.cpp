// The attentions whose rows are a warp's.
#include "combiner_plan.h"
#include "yoso_pairs.h"

#define EMULATED_MODULE "combiner_attention"
namespace combiner_attention {
#include "combiner_attention.cu"
}
#undef EMULATED_MODULE

#define EMULATED_MODULE "combiner_gradients"
namespace combiner_gradients {
#include "combiner_gradients.cu"
}
#undef EMULATED_MODULE

#define EMULATED_MODULE "combiner_projection"
namespace combiner_projection {
#include "combiner_projection.cu"
}
#undef EMULATED_MODULE

#define EMULATED_MODULE "yoso_attention"
namespace yoso_attention {
#include "yoso_attention.cu"
}
#undef EMULATED_MODULE

#define EMULATED_MODULE "yoso_gradients"
namespace yoso_gradients {
#include "yoso_gradients.cu"
}
#undef EMULATED_MODULE

#define EMULATED_MODULE "yoso_planes"
namespace yoso_planes {
#include "yoso_planes.cu"
}
#undef EMULATED_MODULE
