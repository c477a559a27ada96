import CProcessor

/// One panel `[rows, width]` out of rows of memory, `width` of their columns; see `cp_pack_down`.
///
/// - Parameters:
///   - from: The first number.
///   - stride: Floats from a row to the next.
///   - rows: Rows, terms of the sums.
///   - count: Columns there are; those behind them become zero.
///   - width: 6 or 16.
///   - form: What the panel holds.
///   - panel: Where to.
@inline(__always)
func packPanelDown(
  _ from: UnsafePointer<Float>, stride: Int, rows: Int, count: Int, width: Int, form: ProductForm,
  into panel: UnsafeMutablePointer<Float>
) {
  #if AVX512
    if form == .pairs {
      let words = UnsafeMutableRawPointer(panel).assumingMemoryBound(to: UInt32.self)
      return cp_pack_pairs_down(from, stride, rows, Int32(count), Int32(width), words)
    }
  #endif
  #if AVX512 && !EMULATE_AVX512
    cp_pack_down(
      from, stride, rows, Int32(count), Int32(width), panel, form == .rounded ? 1 : 0)
  #else
    for row in 0..<rows {
      copyPanelRow(from + row * stride, panel + row * width, count: count, width: width)
    }
    if form == .rounded { roundPairs(panel, count: rows, width: width) }
  #endif
}

/// One panel `[k, width]` out of rows of memory that become its columns; see `cp_pack_across`.
///
/// - Parameters:
///   - last: The last row; columns behind it repeat it.
///   - k: Floats of a row, terms of the sums.
@inline(__always)
func packPanelAcross(
  _ from: UnsafePointer<Float>, stride: Int, last: Int, k: Int, width: Int, form: ProductForm,
  into panel: UnsafeMutablePointer<Float>
) {
  #if AVX512
    if form == .pairs {
      let words = UnsafeMutableRawPointer(panel).assumingMemoryBound(to: UInt32.self)
      return cp_pack_pairs_across(from, stride, last, k, Int32(width), words)
    }
  #endif
  #if AVX512 && !EMULATE_AVX512
    cp_pack_across(from, stride, last, k, Int32(width), panel, form == .rounded ? 1 : 0)
  #else
    transposePanel(from, stride: stride, last: last, k: k, width: width, into: panel)
    if form == .rounded { roundPairs(panel, count: k, width: width) }
  #endif
}

/// Rounds two rows of a panel after another to bfloat16 and exchanges them; without a second row that is zero.
///
/// - Parameters:
///   - panel: `[count, width]`, with room for one row more where the count is odd.
///   - count: Rows.
///   - width: 6 or 16.
@inline(__always)
func roundPairs(_ panel: UnsafeMutablePointer<Float>, count: Int, width: Int) {
  if count % 2 == 1 { (panel + count * width).update(repeating: 0, count: width) }
  for row in Swift.stride(from: 0, to: count, by: 2) {
    let first = panel + row * width
    let second = first + width
    if width == 16 {
      let (a, b) = (loadWide(first), loadWide(second))
      store(roundedToBFloat16(b), first)
      store(roundedToBFloat16(a), second)
    } else {
      for column in 0..<width {
        let (a, b) = (first[column], second[column])
        first[column] = roundedToBFloat16(b)
        second[column] = roundedToBFloat16(a)
      }
    }
  }
}

/// One panel `[k, width]` out of rows of memory; those past `last` repeat it.
@inline(__always)
private func transposePanel(
  _ from: UnsafePointer<Float>, stride: Int, last: Int, k: Int, width: Int,
  into panel: UnsafeMutablePointer<Float>
) {
  let whole = k & ~7
  for group in Swift.stride(from: 0, to: width, by: 8) {
    let r0 = from + min(group, last) * stride
    let r1 = from + min(group + 1, last) * stride
    let r2 = from + min(group + 2, last) * stride
    let r3 = from + min(group + 3, last) * stride
    let r4 = from + min(group + 4, last) * stride
    let r5 = from + min(group + 5, last) * stride
    let r6 = from + min(group + 6, last) * stride
    let r7 = from + min(group + 7, last) * stride
    var to = panel + group
    for row in Swift.stride(from: 0, to: whole, by: 8) {
      let t = transposeEight(
        load(r0 + row), load(r1 + row), load(r2 + row), load(r3 + row), load(r4 + row),
        load(r5 + row), load(r6 + row), load(r7 + row))
      // With six rows, two lanes of every vector are overwritten by the next.
      store(t.0, to)
      store(t.1, to + width)
      store(t.2, to + 2 * width)
      store(t.3, to + 3 * width)
      store(t.4, to + 4 * width)
      store(t.5, to + 5 * width)
      store(t.6, to + 6 * width)
      store(t.7, to + 7 * width)
      to += 8 * width
    }
  }
  for row in whole..<k {
    for column in 0..<width { panel[row * width + column] = from[min(column, last) * stride + row] }
  }
}

/// One row of a panel; what is missing becomes zero.
@inline(__always)
private func copyPanelRow(
  _ from: UnsafePointer<Float>, _ to: UnsafeMutablePointer<Float>, count: Int, width: Int
) {
  if count < width {
    for column in 0..<width { to[column] = column < count ? from[column] : 0 }
  } else if width == 16 {
    store(loadWide(from), to)
  } else {
    let source = UnsafeRawPointer(from)
    let target = UnsafeMutableRawPointer(to)
    target.storeBytes(of: source.loadUnaligned(as: SIMD4<Float>.self), as: SIMD4<Float>.self)
    target.storeBytes(
      of: source.loadUnaligned(fromByteOffset: 16, as: SIMD2<Float>.self), toByteOffset: 16,
      as: SIMD2<Float>.self)
  }
}
