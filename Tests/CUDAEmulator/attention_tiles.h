// Every file of tiled attention, for one NUMBER and WIDTH.
#define EMULATED_MODULE MODULE("softmax_forward")
#include "attention/softmax_forward.cu"
#undef EMULATED_MODULE
#define EMULATED_MODULE MODULE("softmax_backward")
#include "attention/softmax_backward.cu"
#undef EMULATED_MODULE
#define EMULATED_MODULE MODULE("hierarchical_forward")
#include "attention/hierarchical_forward.cu"
#undef EMULATED_MODULE
#define EMULATED_MODULE MODULE("hierarchical_backward")
#include "attention/hierarchical_backward.cu"
#undef EMULATED_MODULE
#define EMULATED_MODULE MODULE("rotate")
#include "attention/rotate.cu"
#undef EMULATED_MODULE
