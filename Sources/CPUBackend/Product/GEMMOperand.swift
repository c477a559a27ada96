import CProcessor
import Host
import Tensor

/// A or B of a matrix product and how its memory lies.
///
/// Both operands have K, the terms of a sum, in common. The other dimension, here mn, is M for A and
/// N for B.
struct GEMMOperand: Sendable {
  let view: View
  /// Whether a row of memory runs along K, `[mn, K]`; else it runs along mn, `[K, mn]`.
  let isKContiguous: Bool

  /// M of A or N of B.
  var mn: Int { isKContiguous ? view.rows : view.columns }
  var k: Int { isKContiguous ? view.columns : view.rows }

  /// An operand `[mn, K]`: A as it is written, B transposed.
  static func kContiguous(_ view: View) -> GEMMOperand {
    GEMMOperand(view: view, isKContiguous: true)
  }

  /// An operand `[K, mn]`: A transposed, B as it is written.
  static func mnContiguous(_ view: View) -> GEMMOperand {
    GEMMOperand(view: view, isKContiguous: false)
  }

  /// Packs rows of A into panels of six, `[m / 6, steps, 6]`.
  ///
  /// Up to two floats behind the last panel are overwritten.
  func packA(
    m: Range<Int>, k: Range<Int>, form: ProductForm, into panels: UnsafeMutablePointer<Float>
  ) {
    pack(mn: m, k: k, width: MicroKernel.rows, form: form, into: panels)
  }

  /// Packs columns of B into panels of sixteen, `[n / 16, steps, 16]`.
  func packB(
    n: Range<Int>, k: Range<Int>, form: ProductForm, into panels: UnsafeMutablePointer<Float>
  ) {
    pack(mn: n, k: k, width: MicroKernel.columns, form: form, into: panels)
  }

  /// The rows or columns missing in the last panel hold something: their products are dropped.
  ///
  /// Always inlined, so that the width is a constant.
  @inline(__always)
  private func pack(
    mn: Range<Int>, k: Range<Int>, width: Int, form: ProductForm,
    into panels: UnsafeMutablePointer<Float>
  ) {
    let steps = form.steps(k.count)
    if isKContiguous {
      for index in Swift.stride(from: 0, to: mn.count, by: width) {
        packTransposed(
          from: mn.lowerBound + index, count: min(width, mn.count - index), k: k, width: width,
          form: form, into: panels + index * steps)
      }
    } else {
      // Sixteen rows of all panels, then the next: whole rows are read and whole lines written.
      for first in Swift.stride(from: 0, to: k.count, by: 16) {
        let range = first..<min(k.count, first + 16)
        let next = min(k.upperBound, range.upperBound + k.lowerBound)
        prefetchRows(mn, next..<min(k.upperBound, next + 16))
        for index in Swift.stride(from: 0, to: mn.count, by: width) {
          packRows(
            from: mn.lowerBound + index, count: min(width, mn.count - index),
            k.lowerBound + range.lowerBound..<k.lowerBound + range.upperBound, width: width,
            form: form, into: panels + index * steps + form.steps(first) * width)
        }
      }
    }
  }

  /// Asks for a part of rows that are packed next: the processor does not guess where a part ends and
  /// the same part of another row begins.
  @inline(__always)
  private func prefetchRows(_ mn: Range<Int>, _ rows: Range<Int>) {
    guard view.isInOneBand(mn) else { return }
    let from = view.start(ofColumn: mn.lowerBound)
    for row in rows {
      for column in Swift.stride(from: 0, to: mn.count, by: 16) {
        cp_prefetch(from + row * view.stride + column)
      }
    }
  }

  /// One panel of an operand `[mn, K]`, band by band.
  @inline(__always)
  private func packTransposed(
    from first: Int, count: Int, k: Range<Int>, width: Int, form: ProductForm,
    into panel: UnsafeMutablePointer<Float>
  ) {
    guard form != .pairs || view.hasOneBand || view.bandWidth % 2 == 0 else {
      // A pair may have a half in each of two bands.
      return throughFloats(count: k.count, width: width, into: panel) {
        packTransposed(from: first, count: count, k: k, width: width, form: .float32, into: $0)
      }
    }
    var start = k.lowerBound
    while start < k.upperBound {
      let end = min(k.upperBound, (start / view.bandWidth + 1) * view.bandWidth)
      let from = view.start(ofColumn: start) + first * view.stride
      let to = panel + form.steps(start - k.lowerBound) * width
      if form == .pairs {
        packPairsAcross(
          from, stride: view.stride, last: count - 1, k: end - start, width: width, into: to)
      } else {
        transposePanel(
          from, stride: view.stride, last: count - 1, k: end - start, width: width,
          into: panel + (start - k.lowerBound) * width)
      }
      start = end
    }
    if form == .rounded { roundPairs(panel, count: k.count, width: width) }
  }

  /// Rows `range` of one panel of an operand `[K, mn]`; the panel begins with them.
  @inline(__always)
  private func packRows(
    from first: Int, count: Int, _ range: Range<Int>, width: Int, form: ProductForm,
    into panel: UnsafeMutablePointer<Float>
  ) {
    let stride = view.stride
    if view.isInOneBand(first..<first + count) {
      let from = view.start(ofColumn: first) + range.lowerBound * stride
      if form == .pairs {
        return packPairsDown(
          from, stride: stride, rows: range.count, count: count, width: width, into: panel)
      }
      for row in 0..<range.count {
        copyPanelRow(from + row * stride, panel + row * width, count: count, width: width)
      }
    } else if form == .pairs {
      return throughFloats(count: range.count, width: width, into: panel) {
        packRows(from: first, count: count, range, width: width, form: .float32, into: $0)
      }
    } else {
      for column in 0..<width {
        let from = view.start(ofColumn: first + min(column, count - 1)) + range.lowerBound * stride
        for row in 0..<range.count { panel[row * width + column] = from[row * stride] }
      }
    }
    if form == .rounded { roundPairs(panel, count: range.count, width: width) }
  }

  /// A panel of pairs by way of one of floats.
  private func throughFloats(
    count: Int, width: Int, into panel: UnsafeMutablePointer<Float>,
    _ pack: (UnsafeMutablePointer<Float>) -> Void
  ) {
    withUnsafeTemporaryAllocation(of: Float.self, capacity: count * width + 2) { floats in
      guard let base = floats.baseAddress else { return }
      pack(base)
      packPairsDown(base, stride: width, rows: count, count: width, width: width, into: panel)
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
