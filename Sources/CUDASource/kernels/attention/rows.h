// Eight neighbours of a row as floats.
#pragma once
#include "attention.h"
#include "attention/pairs.h"

template <class T> DEVICE void loadRow(float (&x)[8], const T *p, bool live) {
  Pair<T> w[4];
  loadPairs<8>(w, p, live);
#pragma unroll
  for (int n = 0; n < 4; n++) x[2 * n] = lowOf(w[n]), x[2 * n + 1] = highOf(w[n]);
}
template <class T> DEVICE void storeRow(T *p, const float (&x)[8]) {
  Pair<T> w[4];
#pragma unroll
  for (int n = 0; n < 4; n++) setPair(w[n], x[2 * n], x[2 * n + 1]);
  storePairs<8>(p, w);
}
