#include "device.h"

#undef threadIdx
#undef blockIdx
#undef blockDim
#undef gridDim

static float number(const void *base, int type, size_t at) {
  return type == NUMBER_FLOAT ? ((const float *)base)[at] : toFloat(((const bf16 *)base)[at]);
}

void emulated_product(int m, int n, int k, const void *a, int a_type, long long a_stride,
                      int a_transposed, const void *b, int b_type, long long b_stride,
                      int b_transposed, void *c, int c_type, long long c_stride, int accumulate) {
  // The right operand as floats, [k, n], so that the inner loop runs over neighbours.
  std::vector<float> right((size_t)k * n), row(n);
  for (int i = 0; i < k; i++)
    for (int j = 0; j < n; j++)
      right[(size_t)i * n + j] =
          number(b, b_type, b_transposed ? (size_t)j * b_stride + i : (size_t)i * b_stride + j);
  for (int r = 0; r < m; r++) {
    std::fill(row.begin(), row.end(), 0.0f);
    for (int i = 0; i < k; i++) {
      float x =
          number(a, a_type, a_transposed ? (size_t)i * a_stride + r : (size_t)r * a_stride + i);
      for (int j = 0; j < n; j++) row[j] += x * right[(size_t)i * n + j];
    }
    for (int j = 0; j < n; j++) {
      size_t at = (size_t)r * c_stride + j;
      float sum = row[j] + (accumulate ? number(c, c_type, at) : 0.0f);
      if (c_type == NUMBER_FLOAT)
        ((float *)c)[at] = sum;
      else
        ((bf16 *)c)[at] = fromFloat<bf16>(sum);
    }
  }
}
