// The text of the kernels of softmax and of hierarchical attention.
#include "cuda_source.h"

static const char attention_h[] = {
#embed "include/attention.h"
    , 0};
static const char attention_pairs_h[] = {
#embed "kernels/attention/pairs.h"
    , 0};
static const char attention_rows_h[] = {
#embed "kernels/attention/rows.h"
    , 0};
static const char attention_rotation_h[] = {
#embed "kernels/attention/rotation.h"
    , 0};
static const char attention_rotate_cu[] = {
#embed "kernels/attention/rotate.cu"
    , 0};
static const char attention_tile_h[] = {
#embed "kernels/attention/tile.h"
    , 0};
static const char attention_scores_h[] = {
#embed "kernels/attention/scores.h"
    , 0};
static const char attention_share_h[] = {
#embed "kernels/attention/share.h"
    , 0};
static const char attention_staged_h[] = {
#embed "kernels/attention/staged.h"
    , 0};
static const char attention_gradients_h[] = {
#embed "kernels/attention/gradients.h"
    , 0};
static const char attention_softmax_h[] = {
#embed "kernels/attention/softmax.h"
    , 0};
static const char attention_softmax_forward_cu[] = {
#embed "kernels/attention/softmax_forward.cu"
    , 0};
static const char attention_softmax_backward_cu[] = {
#embed "kernels/attention/softmax_backward.cu"
    , 0};
static const char attention_hierarchical_h[] = {
#embed "kernels/attention/hierarchical.h"
    , 0};
static const char attention_hierarchical_staged_h[] = {
#embed "kernels/attention/hierarchical_staged.h"
    , 0};
static const char attention_hierarchical_forward_cu[] = {
#embed "kernels/attention/hierarchical_forward.cu"
    , 0};
static const char attention_hierarchical_backward_cu[] = {
#embed "kernels/attention/hierarchical_backward.cu"
    , 0};
static const char attention_tallies_cu[] = {
#embed "kernels/attention/tallies.cu"
    , 0};
static const char attention_plain_h[] = {
#embed "kernels/attention/plain.h"
    , 0};
static const char attention_plain_cu[] = {
#embed "kernels/attention/plain.cu"
    , 0};
static const char attention_append_cu[] = {
#embed "kernels/attention/append.cu"
    , 0};

#define ATTENTION_FILES \
  {"attention.h", attention_h}, \
  {"attention/pairs.h", attention_pairs_h}, \
  {"attention/rows.h", attention_rows_h}, \
  {"attention/rotation.h", attention_rotation_h}, \
  {"attention/rotate.cu", attention_rotate_cu}, \
  {"attention/tile.h", attention_tile_h}, \
  {"attention/scores.h", attention_scores_h}, \
  {"attention/share.h", attention_share_h}, \
  {"attention/staged.h", attention_staged_h}, \
  {"attention/gradients.h", attention_gradients_h}, \
  {"attention/softmax.h", attention_softmax_h}, \
  {"attention/softmax_forward.cu", attention_softmax_forward_cu}, \
  {"attention/softmax_backward.cu", attention_softmax_backward_cu}, \
  {"attention/hierarchical.h", attention_hierarchical_h}, \
  {"attention/hierarchical_staged.h", attention_hierarchical_staged_h}, \
  {"attention/hierarchical_forward.cu", attention_hierarchical_forward_cu}, \
  {"attention/hierarchical_backward.cu", attention_hierarchical_backward_cu}, \
  {"attention/tallies.cu", attention_tallies_cu}, \
  {"attention/plain.h", attention_plain_h}, \
  {"attention/plain.cu", attention_plain_cu}, \
  {"attention/append.cu", attention_append_cu}
