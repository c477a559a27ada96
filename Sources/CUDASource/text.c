// The text of every file of kernels, for the compiler that a run starts.
#include "cuda_source.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

static const char cuda_source_h[] = {
#embed "include/cuda_source.h"
    , 0};
static const char device_h[] = {
#embed "kernels/device.h"
    , 0};
static const char combiner_plan_h[] = {
#embed "kernels/combiner_plan.h"
    , 0};
static const char row_attention_h[] = {
#embed "kernels/row_attention.h"
    , 0};
static const char yoso_pairs_h[] = {
#embed "kernels/yoso_pairs.h"
    , 0};
static const char adamw_cu[] = {
#embed "kernels/adamw.cu"
    , 0};
static const char combiner_attention_cu[] = {
#embed "kernels/combiner_attention.cu"
    , 0};
static const char combiner_gradients_cu[] = {
#embed "kernels/combiner_gradients.cu"
    , 0};
static const char combiner_projection_cu[] = {
#embed "kernels/combiner_projection.cu"
    , 0};
static const char cross_entropy_cu[] = {
#embed "kernels/cross_entropy.cu"
    , 0};
static const char embedding_cu[] = {
#embed "kernels/embedding.cu"
    , 0};
static const char memory_cu[] = {
#embed "kernels/memory.cu"
    , 0};
static const char muon_cu[] = {
#embed "kernels/muon.cu"
    , 0};
static const char position_cu[] = {
#embed "kernels/position.cu"
    , 0};
static const char residual_cu[] = {
#embed "kernels/residual.cu"
    , 0};
static const char rms_norm_cu[] = {
#embed "kernels/rms_norm.cu"
    , 0};
static const char sum_of_squares_cu[] = {
#embed "kernels/sum_of_squares.cu"
    , 0};
static const char sum_rows_cu[] = {
#embed "kernels/sum_rows.cu"
    , 0};
static const char swiglu_cu[] = {
#embed "kernels/swiglu.cu"
    , 0};
static const char yoso_attention_cu[] = {
#embed "kernels/yoso_attention.cu"
    , 0};
static const char yoso_gradients_cu[] = {
#embed "kernels/yoso_gradients.cu"
    , 0};
static const char yoso_planes_cu[] = {
#embed "kernels/yoso_planes.cu"
    , 0};

#include "attention_text.h"

static const CUDASourceFile files[] = {
    ATTENTION_FILES,
    {"cuda_source.h", cuda_source_h},
    {"device.h", device_h},
    {"combiner_plan.h", combiner_plan_h},
    {"row_attention.h", row_attention_h},
    {"yoso_pairs.h", yoso_pairs_h},
    {"adamw.cu", adamw_cu},
    {"combiner_attention.cu", combiner_attention_cu},
    {"combiner_gradients.cu", combiner_gradients_cu},
    {"combiner_projection.cu", combiner_projection_cu},
    {"cross_entropy.cu", cross_entropy_cu},
    {"embedding.cu", embedding_cu},
    {"memory.cu", memory_cu},
    {"muon.cu", muon_cu},
    {"position.cu", position_cu},
    {"residual.cu", residual_cu},
    {"rms_norm.cu", rms_norm_cu},
    {"sum_of_squares.cu", sum_of_squares_cu},
    {"sum_rows.cu", sum_rows_cu},
    {"swiglu.cu", swiglu_cu},
    {"yoso_attention.cu", yoso_attention_cu},
    {"yoso_gradients.cu", yoso_gradients_cu},
    {"yoso_planes.cu", yoso_planes_cu},
};

const CUDASourceFile *cuda_source_files(int *count) {
  *count = (int)(sizeof files / sizeof files[0]);
  return files;
}
