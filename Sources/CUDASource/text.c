// The text of every file of kernels, for the compiler that a run starts.
#include "cuda_source.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

static const char cuda_source_h[] = {
#embed "include/cuda_source.h"
    , 0};
static const char device_h[] = {
#embed "kernels/device.h"
    , 0};
static const char memory_cu[] = {
#embed "kernels/memory.cu"
    , 0};
static const char rms_norm_cu[] = {
#embed "kernels/rms_norm.cu"
    , 0};
static const char sum_rows_cu[] = {
#embed "kernels/sum_rows.cu"
    , 0};

static const CUDASourceFile files[] = {
    {"cuda_source.h", cuda_source_h}, {"device.h", device_h},       {"memory.cu", memory_cu},
    {"rms_norm.cu", rms_norm_cu},     {"sum_rows.cu", sum_rows_cu},
};

const CUDASourceFile *cuda_source_files(int *count) {
  *count = (int)(sizeof files / sizeof files[0]);
  return files;
}
