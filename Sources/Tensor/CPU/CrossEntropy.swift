import Foundation

/// Head, softmax and cross-entropy in one op that never holds `[N, V]`.
///
/// Positions are taken in blocks whose logits fit a fixed scratch; forward and backward of a block
/// are finished before the next. A position's nats depend on its row of `hidden` and on `w` alone,
/// bit for bit, and are the same with and without gradients.
extension CPUKernels {
  /// `nllNats[n] = -ln softmax(hidden wᵀ)[n, targets[n]]`.
  package func crossEntropyForward(nllNats: View, hidden: View, w: View, targets: [Int32]) {
    crossEntropy(nllNats: nllNats, hidden: hidden, w: w, targets: targets, gradient: nil)
  }

  /// Also `dHidden = …`, `dw += …`, both multiplied by `gradientScale`.
  ///
  ///     dLogits = gradientScale · (softmax - onehot),  dHidden = dLogits w,  dw += dLogitsᵀ hidden
  package func crossEntropyForwardBackward(
    nllNats: View, dHidden: View, dw: View, hidden: View, w: View, targets: [Int32],
    gradientScale: Float
  ) {
    precondition(
      dHidden.rows == hidden.rows && dHidden.columns == hidden.columns && dw.rows == w.rows
        && dw.columns == w.columns,
      "dHidden [\(dHidden.rows), \(dHidden.columns)], dw [\(dw.rows), \(dw.columns)]")
    crossEntropy(
      nllNats: nllNats, hidden: hidden, w: w, targets: targets,
      gradient: HeadGradient(dHidden: dHidden, dw: dw, scale: gradientScale))
  }

  private func crossEntropy(
    nllNats: View, hidden: View, w: View, targets: [Int32], gradient: HeadGradient?
  ) {
    precondition(
      nllNats.count == hidden.rows && nllNats.isContiguous && targets.count == hidden.rows
        && hidden.columns == w.columns,
      "hidden [\(hidden.rows), \(hidden.columns)], w [\(w.rows), \(w.columns)],"
        + " \(targets.count) targets, \(nllNats.count) results")
    guard hidden.rows > 0 else { return }
    let plan = CrossEntropyPlan(vocabulary: w.rows)
    ScratchPool.borrow(plan.floats) { scratch in
      for start in Swift.stride(from: 0, to: hidden.rows, by: plan.blockRows) {
        let block = start..<min(hidden.rows, start + plan.blockRows)
        let logits = View(
          scratch, offset: 0, rows: block.count, columns: w.rows, stride: plan.stride)
        linearForward(y: logits, x: hidden.rows(block), w: w, accumulate: false)
        parallelFor(block.count, grain: 8) { range in
          for row in range {
            let target = Int(targets[start + row])
            precondition(
              target >= 0 && target < w.rows, "target \(target) in a vocabulary of \(w.rows)")
            nllNats.base[start + row] = softmaxRow(
              logits.base + row * plan.stride, vocabulary: w.rows, target: target,
              gradientScale: gradient?.scale)
          }
        }
        if let gradient {
          gradient.add(dLogits: logits, hidden: hidden, w: w, block: block)
        }
      }
    }
  }
}

/// Floats of working memory that cross-entropy keeps between calls: at most 32 MiB, unless 16 rows
/// of logits, one tile, need more.
package func crossEntropyScratchFloats(vocabulary: Int) -> Int {
  CrossEntropyPlan(vocabulary: vocabulary).floats
}

/// How many positions share one block of logits; a function of the vocabulary alone.
private struct CrossEntropyPlan {
  let blockRows: Int
  /// Floats from one row of logits to the next: whole vectors, and no multiple of a page, where
  /// the rows of a tile would fall into the same cache sets.
  let stride: Int

  init(vocabulary: Int) {
    let even = (vocabulary + 7) & ~7
    stride = even % 1024 == 0 ? even + 16 : even
    let fitting = (8 << 20) / stride / 16 * 16
    blockRows = min(768, max(16, fitting))
  }

  var floats: Int { blockRows * stride }
}

/// Where the gradients of the head go.
private struct HeadGradient: Sendable {
  let dHidden: View
  let dw: View
  let scale: Float

  /// `dHidden[block] = dLogits w`, `dw += dLogitsᵀ hidden[block]`; blocks follow one another.
  func add(dLogits: View, hidden: View, w: View, block: Range<Int>) {
    matrixProduct(
      y: dHidden.rows(block), a: dLogits, b: w, accumulate: false,
      rowBlocks: Blocks(block.count, near: 120, multipleOf: 24),
      columnBlocks: Blocks(w.columns, near: 256, multipleOf: 64))
    matrixProduct(
      y: dw, a: dLogits, transposedA: true, b: hidden.rows(block), accumulate: true,
      rowBlocks: Blocks(w.rows, near: 512, multipleOf: 16),
      columnBlocks: Blocks(w.columns, near: 1024, multipleOf: 64))
  }
}

/// Nats of one row of logits; with a scale, the row becomes `scale · (softmax - onehot)`.
///
/// The denominator is summed in Float over runs of 256 and in Double above, so its relative error
/// is that of `exponential`, about 1e-7, and so is the absolute error of the nats before they are
/// rounded to Float. NaN anywhere in the row gives NaN.
private func softmaxRow(
  _ logits: UnsafeMutablePointer<Float>, vocabulary: Int, target: Int, gradientScale: Float?
) -> Float {
  let padded = (vocabulary + 7) & ~7
  for index in vocabulary..<padded { logits[index] = -.infinity }
  let peak = rowMaximum(logits, count: padded)
  let distance = Double(peak) - Double(logits[target])
  guard let gradientScale else {
    let sum = sumOfExponentials(logits, count: padded, peak: peak, keep: false)
    return Float(distance + log(sum))
  }
  let sum = sumOfExponentials(logits, count: padded, peak: peak, keep: true)
  let factor = Lanes(repeating: Float(Double(gradientScale) / sum))
  var index = 0
  while index < padded {
    store(load(logits + index) * factor, logits + index)
    index += 8
  }
  logits[target] -= gradientScale
  return Float(distance + log(sum))
}

/// Largest of `count` elements, a multiple of 8; NaN is passed over.
@inline(__always)
private func rowMaximum(_ row: UnsafePointer<Float>, count: Int) -> Float {
  var m0 = Lanes(repeating: -.infinity)
  var m1 = m0
  var m2 = m0
  var m3 = m0
  var index = 0
  while index + 32 <= count {
    m0 = maximum(m0, load(row + index))
    m1 = maximum(m1, load(row + index + 8))
    m2 = maximum(m2, load(row + index + 16))
    m3 = maximum(m3, load(row + index + 24))
    index += 32
  }
  while index < count {
    m0 = maximum(m0, load(row + index))
    index += 8
  }
  return horizontalMax(maximum(maximum(m0, m1), maximum(m2, m3)))
}

/// `Σ exp(row - peak)` over `count` elements, a multiple of 8; `keep` writes the terms back.
@inline(__always)
private func sumOfExponentials(
  _ row: UnsafeMutablePointer<Float>, count: Int, peak: Float, keep: Bool
) -> Double {
  let top = Lanes(repeating: peak)
  var sum = 0.0
  var index = 0
  while index < count {
    let end = min(count, index + 256)
    var s0 = Lanes.zero
    var s1 = Lanes.zero
    while index + 16 <= end {
      let e0 = exponential(load(row + index) - top)
      let e1 = exponential(load(row + index + 8) - top)
      if keep {
        store(e0, row + index)
        store(e1, row + index + 8)
      }
      s0 += e0
      s1 += e1
      index += 16
    }
    if index < end {
      let e0 = exponential(load(row + index) - top)
      if keep { store(e0, row + index) }
      s0 += e0
      index += 8
    }
    sum += Double(horizontalSum(s0 + s1))
  }
  return sum
}
