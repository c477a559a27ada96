// The text of every file of kernels, for the compiler that a run starts.
#include "cuda_source.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

static const char cuda_source_h[] = {
#embed "include/cuda_source.h"
    , 0};
static const char device_h[] = {
#embed "kernels/device.h"
    , 0};
static const char adamw_cu[] = {
#embed "kernels/adamw.cu"
    , 0};
static const char bias_cu[] = {
#embed "kernels/bias.cu"
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
static const char move_average_cu[] = {
#embed "kernels/move_average.cu"
    , 0};
static const char move_rows_cu[] = {
#embed "kernels/move_rows.cu"
    , 0};
static const char muon_cu[] = {
#embed "kernels/muon.cu"
    , 0};
static const char position_cu[] = {
#embed "kernels/position.cu"
    , 0};
static const char repeat_heads_cu[] = {
#embed "kernels/repeat_heads.cu"
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

#include "attention_text.h"
#include "row_attention_text.h"

static const CUDASourceFile files[] = {
    ATTENTION_FILES,
    ROW_ATTENTION_FILES,
    {"cuda_source.h", cuda_source_h},
    {"device.h", device_h},
    {"adamw.cu", adamw_cu},
    {"bias.cu", bias_cu},
    {"cross_entropy.cu", cross_entropy_cu},
    {"embedding.cu", embedding_cu},
    {"memory.cu", memory_cu},
    {"move_average.cu", move_average_cu},
    {"move_rows.cu", move_rows_cu},
    {"muon.cu", muon_cu},
    {"position.cu", position_cu},
    {"repeat_heads.cu", repeat_heads_cu},
    {"residual.cu", residual_cu},
    {"rms_norm.cu", rms_norm_cu},
    {"sum_of_squares.cu", sum_of_squares_cu},
    {"sum_rows.cu", sum_rows_cu},
    {"swiglu.cu", swiglu_cu},
};

const CUDASourceFile *cuda_source_files(int *count) {
  *count = (int)(sizeof files / sizeof files[0]);
  return files;
}
