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
    guard form == .float32 || view.hasOneBand || view.bandWidth % 2 == 0 else {
      // A pair may have a half in each of two bands.
      return throughFloats(count: k.count, width: width, form: form, into: panel) {
        packTransposed(from: first, count: count, k: k, width: width, form: .float32, into: $0)
      }
    }
    var start = k.lowerBound
    while start < k.upperBound {
      let end = min(k.upperBound, (start / view.bandWidth + 1) * view.bandWidth)
      let from = view.start(ofColumn: start) + first * view.stride
      let to = panel + form.steps(start - k.lowerBound) * width
      packPanelAcross(
        from, stride: view.stride, last: count - 1, k: end - start, width: width, form: form,
        into: to)
      start = end
    }
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
      packPanelDown(
        from, stride: stride, rows: range.count, count: count, width: width, form: form, into: panel
      )
    } else if form != .float32 {
      throughFloats(count: range.count, width: width, form: form, into: panel) {
        packRows(from: first, count: count, range, width: width, form: .float32, into: $0)
      }
    } else {
      for column in 0..<width {
        let from = view.start(ofColumn: first + min(column, count - 1)) + range.lowerBound * stride
        for row in 0..<range.count { panel[row * width + column] = from[row * stride] }
      }
    }
  }

  /// A panel of another form by way of one of floats.
  private func throughFloats(
    count: Int, width: Int, form: ProductForm, into panel: UnsafeMutablePointer<Float>,
    _ pack: (UnsafeMutablePointer<Float>) -> Void
  ) {
    withUnsafeTemporaryAllocation(of: Float.self, capacity: count * width + 2) { floats in
      guard let base = floats.baseAddress else { return }
      pack(base)
      packPanelDown(
        base, stride: width, rows: count, count: width, width: width, form: form, into: panel)
    }
  }
}
