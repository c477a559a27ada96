// The text of the kernels of Combiner and of YOSO attention.
#include "cuda_source.h"

static const char row_attention_h[] = {
#embed "kernels/row_attention.h"
    , 0};
static const char combiner_plan_h[] = {
#embed "kernels/combiner/plan.h"
    , 0};
static const char combiner_attention_cu[] = {
#embed "kernels/combiner/attention.cu"
    , 0};
static const char combiner_gradients_cu[] = {
#embed "kernels/combiner/gradients.cu"
    , 0};
static const char combiner_projection_cu[] = {
#embed "kernels/combiner/projection.cu"
    , 0};
static const char yoso_pairs_h[] = {
#embed "kernels/yoso/pairs.h"
    , 0};
static const char yoso_attention_cu[] = {
#embed "kernels/yoso/attention.cu"
    , 0};
static const char yoso_gradients_cu[] = {
#embed "kernels/yoso/gradients.cu"
    , 0};
static const char yoso_planes_cu[] = {
#embed "kernels/yoso/planes.cu"
    , 0};

#define ROW_ATTENTION_FILES \
  {"row_attention.h", row_attention_h}, \
  {"combiner/plan.h", combiner_plan_h}, \
  {"combiner/attention.cu", combiner_attention_cu}, \
  {"combiner/gradients.cu", combiner_gradients_cu}, \
  {"combiner/projection.cu", combiner_projection_cu}, \
  {"yoso/pairs.h", yoso_pairs_h}, \
  {"yoso/attention.cu", yoso_attention_cu}, \
  {"yoso/gradients.cu", yoso_gradients_cu}, \
  {"yoso/planes.cu", yoso_planes_cu}
