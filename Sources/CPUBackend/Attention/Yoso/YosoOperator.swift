import Deterministic
import Host
package import Tensor

/// Causal YOSO attention (Zeng et al., 2021, arXiv 2111.09714), never an L×L buffer.
///
/// Saved for the backward pass: the norms of X and the hash codes. Row i depends, bit for bit, on
/// rows 0...i of its own sequence alone: every sum runs in the order of the keys, or hash by hash and
/// then in the order of the keys. Sums are in units of 1 / hashes, which cancels in o.
extension CPUKernels: YosoAttentionKernels {
  package func yosoAttention(_ shape: YosoShape, planes: View?) -> any AttentionOperator {
    YosoOperator(shape, planes: planes)
  }
}

/// YOSO attention of this processor.
package struct YosoOperator: AttentionOperator {
  let shape: YosoShape
  private let drawn: YosoDrawnPlanes
  private let form: YosoBackwardForm?

  /// - Parameters:
  ///   - shape: Heads, hashes, bits and estimate.
  ///   - planes: In place of those that are drawn.
  ///   - form: Form of the sums over collisions in the backward pass, or nil for the cheaper one.
  package init(_ shape: YosoShape, planes: View?, form: YosoBackwardForm? = nil) {
    self.shape = shape
    drawn = YosoDrawnPlanes(given: planes)
    self.form = form
  }

  /// The hyperplanes of a layer, or nil if the attention draws none.
  func planes(width: Int, layer: Int, draw: AttentionDraw) -> View? {
    shape.isRandom ? drawn.planes(shape, width: width, layer: layer, draw: draw) : nil
  }

  package func forward(_ tensors: AttentionTensors, _ pass: AttentionPass) {
    let (q, k, v, o, saved) = (tensors.q, tensors.k, tensors.v, tensors.o, tensors.saved)
    let starts = pass.sequences.starts
    let planes = planes(width: q.columns / shape.heads, layer: pass.layer, draw: pass.draw)
    let widths = checkedYosoShape(o, saved, q, k, v, starts: starts, shape)
    precondition(
      !shape.isRandom || planes?.rows == shape.planeRows && planes?.columns == widths.keyWidth,
      "planes must be [\(shape.planeRows), \(widths.keyWidth)]")
    let tasks = AttentionTasks(starts: starts, heads: shape.heads)
    parallelFor(tasks.count) { task in
      let head = tasks.head(task)
      Scratch.lend(carving: { scratch in
        YosoForward(
          shape, widths, planes: planes, saved: saved, head: head, longest: tasks.longest,
          &scratch)
      }) { pass in
        for sequence in tasks.group(task) {
          let first = starts[sequence]
          let length = starts[sequence + 1] - first
          if length > 0 { pass.run(o, q, k, v, first: first, length: length) }
        }
      }
    }
  }

  package func backward(
    _ tensors: AttentionTensors, _ gradients: AttentionGradients, _ pass: AttentionPass
  ) {
    let (q, k, v, o, saved) = (tensors.q, tensors.k, tensors.v, tensors.o, tensors.saved)
    let (dq, dk, dv, dO) = (gradients.dq, gradients.dk, gradients.dv, gradients.dO)
    let starts = pass.sequences.starts
    let widths = checkedYosoShape(o, saved, q, k, v, starts: starts, shape)
    precondition(
      dq.columns == q.columns && dk.columns == k.columns && dv.columns == v.columns
        && dO.columns == o.columns, "widths of gradients")
    let tasks = AttentionTasks(starts: starts, heads: shape.heads)
    parallelFor(tasks.count) { task in
      let head = tasks.head(task)
      Scratch.lend(carving: { scratch in
        YosoBackward(shape, widths, longest: tasks.longest, form: form, &scratch)
      }) { pass in
        for sequence in tasks.group(task) {
          let first = starts[sequence]
          let length = starts[sequence + 1] - first
          if length == 0 { continue }
          let kept = YosoSaved(saved, shape)
          pass.rows.pack(
            q, k, v, dO, o, norms: kept.norms(head: head, first: first),
            leastNorm: shape.leastNorm, head: head, first: first, length: length)
          pass.run(codes: kept.codes(head: head, first: first), length: length)
          pass.rows.write(
            dq, dk, dv, slope: pass.slopeFactor, head: head, first: first, length: length)
        }
      }
    }
  }

}

extension CPUKernels {
  /// Hash codes of rows `[N, D]` by hyperplanes `[hashes · bits, D]`: N codes for each hash.
  package func yosoCodes(_ x: View, planes: View, hashes: Int, bits: Int) -> [[Int]] {
    let shape = YosoShape(heads: 1, estimate: .sampled, bits: bits, hashes: hashes)
    precondition(planes.rows == shape.planeRows && planes.columns == x.columns, "shape of planes")
    let saved = View(rows: shape.savedRows, columns: max(x.rows, 1))
    let codes = YosoSaved(saved, shape).codes(head: 0, first: 0)
    Scratch.lend(carving: { YosoHasher(shape, width: x.columns, &$0) }) { hasher in
      hasher.run(
        x.base, stride: x.stride, rows: x.rows, planes: planes.base, planeStride: planes.stride,
        codes: codes, ofKeys: false)
    }
    var wide = [Int32](repeating: 0, count: x.rows)
    return (0..<hashes).map { hash in
      wide.withUnsafeMutableBufferPointer { buffer in
        if let base = buffer.baseAddress {
          codes.widen(codes.queries(hash), from: 0, count: x.rows, into: base)
        }
      }
      return wide.map(Int.init)
    }
  }
}

/// Widths of one head, after checking that the shapes of all views agree.
private func checkedYosoShape(
  _ o: View, _ saved: View, _ q: View, _ k: View, _ v: View, starts: [Int], _ shape: YosoShape
) -> HeadShape {
  precondition(
    saved.rows >= shape.savedRows, "saved has \(saved.rows) rows, expected \(shape.savedRows)")
  return checkedShape(o, saved, q, k, v, starts: starts, heads: shape.heads)
}

/// Forward pass over the sequences of one task and one head.
private struct YosoForward {
  private let shape: YosoShape
  private let widths: HeadShape
  private let planes: View?
  private let saved: YosoSaved
  private let head: Int
  private let values: UnsafeMutablePointer<Float>  // [L, padded E]
  private let sums: UnsafeMutablePointer<Float>  // [L or 16, padded E]
  private let hasher: YosoHasher?
  private let scan: YosoScan?
  private let panel: YosoPanel?

  init(
    _ shape: YosoShape, _ widths: HeadShape, planes: View?, saved: View, head: Int, longest: Int,
    _ scratch: inout Scratch
  ) {
    self.shape = shape
    self.widths = widths
    self.planes = planes
    self.saved = YosoSaved(saved, shape)
    self.head = head
    values = scratch.take(longest * widths.valueStride)
    sums = scratch.take(max(longest, 16) * widths.valueStride)
    let isRandom = shape.isRandom
    hasher = isRandom ? YosoHasher(shape, width: widths.keyWidth, &scratch) : nil
    scan =
      isRandom
      ? YosoScan(shape, longest: longest, stride: widths.valueStride, &scratch) : nil
    panel = shape.estimate == .sampled ? nil : YosoPanel(shape, widths, longest, &scratch)
  }

  func run(_ o: View, _ q: View, _ k: View, _ v: View, first: Int, length: Int) {
    let stride = widths.valueStride
    let place = HeadView(first: first, head: head)
    let (q, k) = (place.keys(q, widths), place.keys(k, widths))
    let (v, o) = (place.values(v, widths), place.values(o, widths))
    let norms = saved.norms(head: head, first: first)
    packRows(
      values, stride: stride, v.base, sourceStride: v.stride, rows: length,
      width: widths.valueWidth)
    sums.update(repeating: 0, count: (shape.isRandom ? length : min(length, 16)) * stride)
    if let hasher, let scan, let planes {
      let codes = saved.codes(head: head, first: first)
      let normals = planes.base + head * shape.hashes * shape.bits * planes.stride
      hasher.run(
        q.base, stride: q.stride, rows: length, planes: normals, planeStride: planes.stride,
        codes: codes, ofKeys: false)
      hasher.run(
        k.base, stride: k.stride, rows: length, planes: normals, planeStride: planes.stride,
        codes: codes, ofKeys: true)
      scan.run(
        sums: sums, source: values, codes: codes,
        order: .init(
          length: length, chunk: shape.estimate == .hybrid ? shape.chunk : 0, isReversed: false))
    }
    panel?.pack(keys: k.base, stride: k.stride, length: length)
    for row in Swift.stride(from: 0, to: length, by: 16) {
      let rows = min(16, length - row)
      let own = shape.isRandom ? sums + row * stride : sums
      if let panel {
        if !shape.isRandom { own.update(repeating: 0, count: rows * stride) }
        panel.attend(
          sums: own, queries: q[row], queryStride: q.stride, values: values, row: row, rows: rows)
      }
      for index in 0..<rows {
        norms[row + index] = writeUnitRow(
          o[row + index], own + index * stride, stride: stride, width: widths.valueWidth,
          leastNorm: shape.leastNorm)
      }
    }
  }
}

/// 16 query rows against the keys of their window, weights by the cosine.
private struct YosoPanel {
  private let shape: YosoShape
  private let widths: HeadShape
  private let keys: UnsafeMutablePointer<Float>  // [L, padded D], unit length
  private let units: UnsafeMutablePointer<Float>  // [16, padded D]
  private let queries: UnsafeMutablePointer<Float>  // [D, 16]
  private let weights: UnsafeMutablePointer<Float>  // [keys, 16]

  init(_ shape: YosoShape, _ widths: HeadShape, _ longest: Int, _ scratch: inout Scratch) {
    self.shape = shape
    self.widths = widths
    keys = scratch.take(longest * widths.keyStride)
    units = scratch.take(16 * widths.keyStride)
    queries = scratch.take(16 * widths.keyStride)
    weights = scratch.take(16 * AttentionTile.keys)
  }

  func pack(keys source: UnsafePointer<Float>, stride: Int, length: Int) {
    packUnitRows(
      keys, stride: widths.keyStride, source, sourceStride: stride, rows: length,
      width: widths.keyWidth)
  }

  /// Adds to the sums of rows `row..<row + rows`.
  func attend(
    sums: UnsafeMutablePointer<Float>, queries source: UnsafePointer<Float>, queryStride: Int,
    values: UnsafePointer<Float>, row: Int, rows: Int
  ) {
    packUnitRows(
      units, stride: widths.keyStride, source, sourceStride: queryStride, rows: rows,
      width: widths.keyWidth)
    packTransposed(
      queries, units, sourceStride: widths.keyStride, rows: rows, width: widths.keyWidth)
    let window = shape.window
    let end = window.upper(row + rows - 1)
    for start in Swift.stride(from: window.lower(row), to: end, by: AttentionTile.keys) {
      let range = window.keys(
        firstRow: row, rows: rows, tile: start..<min(start + AttentionTile.keys, end))
      let count = range.some.count
      if count == 0 { continue }
      let first = range.some.lowerBound
      tileProduct(
        TileC(base: weights, panelStride: 0, rowStride: 16),
        TileA(
          base: keys + first * widths.keyStride, rowStride: widths.keyStride, kStride: 1),
        TileB(base: queries, panelStride: 0, kStride: 16), rows: count, panels: 1,
        k: widths.keyWidth, accumulate: false)
      yosoWeights(weights, stride: 16, count: count, bits: shape.bits, unit: shape.unit)
      window.mask(weights, stride: 16, firstRow: row, rows: rows, keys: range)
      tileProduct(
        TileC(base: sums, panelStride: 16, rowStride: widths.valueStride),
        TileA(base: weights, rowStride: 1, kStride: 16),
        TileB(
          base: values + first * widths.valueStride, panelStride: 16,
          kStride: widths.valueStride), rows: rows, panels: widths.valueStride / 16,
        k: count, accumulate: true)
    }
  }
}

extension YosoShape {
  /// Pairs whose weights are probabilities.
  var window: YosoWindow { estimate == .hybrid ? .near(chunk: chunk) : .causal }
}
