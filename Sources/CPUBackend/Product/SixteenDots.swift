/// `out[key] (+)= <query, keys[key]>` of 16 keys, each summed in the order of the columns.
///
/// Keys are transposed in registers, so that decoding reads every key once.
///
/// - Parameters:
///   - out: Sixteen results.
///   - query: `[width]`.
///   - keys: `[16, width]`.
///   - keyStride: Floats from a key to the next.
///   - width: Columns, a multiple of 8.
///   - accumulate: Whether the products are added to `out` or replace it.
func sixteenDots(
  _ out: UnsafeMutablePointer<Float>, _ query: UnsafePointer<Float>, _ keys: UnsafePointer<Float>,
  keyStride: Int, width: Int, accumulate: Bool = false
) {
  var low = Lanes.zero
  var high = Lanes.zero
  let others = keys + 8 * keyStride
  var column = 0
  while column < width {
    let q = query + column
    let a = transposed(keys + column, keyStride)
    low = low.addingProduct(a.0, Lanes(repeating: q[0]))
    low = low.addingProduct(a.1, Lanes(repeating: q[1]))
    low = low.addingProduct(a.2, Lanes(repeating: q[2]))
    low = low.addingProduct(a.3, Lanes(repeating: q[3]))
    low = low.addingProduct(a.4, Lanes(repeating: q[4]))
    low = low.addingProduct(a.5, Lanes(repeating: q[5]))
    low = low.addingProduct(a.6, Lanes(repeating: q[6]))
    low = low.addingProduct(a.7, Lanes(repeating: q[7]))
    let b = transposed(others + column, keyStride)
    high = high.addingProduct(b.0, Lanes(repeating: q[0]))
    high = high.addingProduct(b.1, Lanes(repeating: q[1]))
    high = high.addingProduct(b.2, Lanes(repeating: q[2]))
    high = high.addingProduct(b.3, Lanes(repeating: q[3]))
    high = high.addingProduct(b.4, Lanes(repeating: q[4]))
    high = high.addingProduct(b.5, Lanes(repeating: q[5]))
    high = high.addingProduct(b.6, Lanes(repeating: q[6]))
    high = high.addingProduct(b.7, Lanes(repeating: q[7]))
    column += 8
  }
  if accumulate {
    store(load(out) + low, out)
    store(load(out + 8) + high, out + 8)
  } else {
    store(low, out)
    store(high, out + 8)
  }
}

/// Eight columns of eight rows, a column per vector; inlined so that nothing goes through memory.
@inline(__always)
private func transposed(
  _ rows: UnsafePointer<Float>, _ stride: Int
) -> (Lanes, Lanes, Lanes, Lanes, Lanes, Lanes, Lanes, Lanes) {
  transposeEight(
    load(rows), load(rows + stride), load(rows + 2 * stride), load(rows + 3 * stride),
    load(rows + 4 * stride), load(rows + 5 * stride), load(rows + 6 * stride),
    load(rows + 7 * stride))
}
