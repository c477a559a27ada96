import Deterministic
import Foundation
import Host
package import Tensor

/// Head, softmax and cross-entropy in one op that never holds `[N, V]`.
///
/// Positions are taken in blocks and the vocabulary in chunks whose logits stay in L3
/// while they are made, exponentiated and, later, turned into gradients. A position's nats depend on
/// its row of `hidden` and on `w` alone, bit for bit, and are the same with and without gradients.
extension CPUKernels {
  /// `nllNats[n] = -ln softmax(hidden wᵀ)[n, targets[n]]`.
  package func crossEntropyForward(nllNats: View, hidden: View, w: View, targets: Indices) {
    crossEntropy(nllNats: nllNats, hidden: hidden, w: w, targets: targets.numbers, gradient: nil)
  }

  /// Also `dHidden = …`, `dw += …`, both multiplied by `gradientScale`.
  ///
  ///     dLogits = gradientScale · (softmax - onehot),  dHidden = dLogits w,  dw += dLogitsᵀ hidden
  package func crossEntropyForwardBackward(
    nllNats: View, dHidden: View, dw: View, hidden: View, w: View, targets: Indices,
    gradientScale: Float
  ) {
    precondition(
      dHidden.rows == hidden.rows && dHidden.columns == hidden.columns && dw.rows == w.rows
        && dw.columns == w.columns,
      "dHidden [\(dHidden.rows), \(dHidden.columns)], dw [\(dw.rows), \(dw.columns)]")
    crossEntropy(
      nllNats: nllNats, hidden: hidden, w: w, targets: targets.numbers,
      gradient: HeadGradient(dHidden: dHidden, dw: dw, scale: gradientScale, form: form))
  }

  private func crossEntropy(
    nllNats: View, hidden: View, w: View, targets: [Int32], gradient: HeadGradient?
  ) {
    precondition(
      nllNats.count == hidden.rows && nllNats.isContiguous && targets.count == hidden.rows
        && hidden.columns == w.columns,
      "hidden [\(hidden.rows), \(hidden.columns)], w [\(w.rows), \(w.columns)],"
        + " \(targets.count) targets, \(nllNats.count) results")
    for target in targets {
      precondition(
        target >= 0 && target < w.rows, "target \(target) in a vocabulary of \(w.rows)")
    }
    guard hidden.rows > 0 else { return }
    let plan = CrossEntropyPlan(vocabulary: w.rows, keepsLogits: gradient != nil)
    Scratch.lend(carving: { HeadMemory(plan, &$0) }) { memory in
      for start in Swift.stride(from: 0, to: hidden.rows, by: plan.blockRows) {
        let positions = start..<min(hidden.rows, start + plan.blockRows)
        let block = HeadBlock(
          plan: plan, memory: memory, hidden: hidden.rows(positions), w: w,
          targets: Array(targets[positions]), nllNats: nllNats.columns(positions))
        block.score(kernels: self)
        gradient?.add(block, positions: positions)
      }
    }
  }
}

/// Floats of working memory that cross-entropy keeps between calls: at most 68 MiB, unless
/// 16 rows of logits need more.
package func crossEntropyScratchFloats(vocabulary: Int) -> Int {
  let plan = CrossEntropyPlan(vocabulary: vocabulary, keepsLogits: true)
  return Scratch.floats { HeadMemory(plan, &$0) }
}

/// Floats of panels that the products of the head hold beside them, for hidden states of that width.
package func crossEntropyPanelFloats(vocabulary: Int, width: Int) -> Int {
  let plan = CrossEntropyPlan(vocabulary: vocabulary, keepsLogits: true)
  let tokens = plan.chunks.longest
  return max(
    productPanelFloats(columns: tokens, steps: width),
    productPanelFloats(columns: width, steps: tokens),
    productPanelFloats(columns: width, steps: plan.blockRows))
}

/// How positions and vocabulary are cut; the cut of the vocabulary follows from its size alone.
private struct CrossEntropyPlan: Sendable {
  let chunks: Partition
  /// Positions that share a block of logits.
  let blockRows: Int
  /// Floats from one row of a chunk to the next: whole vectors, and no multiple of a page, where
  /// the rows of a tile would fall into the same cache sets.
  let stride: Int
  /// Whether every chunk has memory of its own, for the gradients, or they share that of one.
  let keepsLogits: Bool

  init(vocabulary: Int, keepsLogits: Bool) {
    chunks = Partition(vocabulary, near: 4_096, multipleOf: 128)
    self.keepsLogits = keepsLogits
    let even = (chunks.longest + 7) & ~7
    stride = even % 1_024 == 0 ? even + 16 : even
    let fitting = (17 << 20) / (stride * chunks.count) / 16 * 16
    // Few enough for one chunk to stay in L3, many enough for packing `w` to pay.
    blockRows = keepsLogits ? min(768, max(16, fitting)) : 512
  }
}

/// Logits of a block of positions and what is known of its rows so far.
private struct HeadMemory: Sendable {
  /// Chunk after chunk if all are kept, else those of the chunk at hand, `[chunks · rows, stride]`.
  let logits: View
  /// Largest logit of every row in each chunk, `[chunks, rows]`.
  let maxima: View
  /// Largest logit of every row so far, `[1, rows]`.
  let peaks: View
  /// Denominators so far, one Double a row, `[rows, 2]`.
  let sums: View

  init(_ plan: CrossEntropyPlan, _ scratch: inout Scratch) {
    let kept = plan.keepsLogits ? plan.chunks.count : 1
    logits = scratch.takeView(rows: kept * plan.blockRows, columns: plan.stride)
    maxima = scratch.takeView(rows: plan.chunks.count, columns: plan.blockRows)
    peaks = scratch.takeView(rows: 1, columns: plan.blockRows)
    sums = scratch.takeView(rows: plan.blockRows, columns: 2)
  }
}

/// The logits of a block of positions, chunk after chunk of the vocabulary.
private struct HeadBlock: Sendable {
  let plan: CrossEntropyPlan
  let memory: HeadMemory
  let hidden: View  // [rows, C]
  let w: View  // [V, C]
  let targets: [Int32]
  let nllNats: View  // [1, rows]

  /// Logits, later their exponentials and gradients, of one chunk.
  func logits(_ chunk: Int) -> View {
    let first = plan.keepsLogits ? chunk * plan.blockRows : 0
    return memory.logits.rows(first..<first + hidden.rows).columns(0..<plan.chunks[chunk].count)
  }

  /// Largest logit of every row in one chunk.
  func maxima(_ chunk: Int) -> UnsafeMutablePointer<Float> {
    memory.maxima.base + chunk * plan.blockRows
  }

  /// Largest logit of every row so far.
  var peaks: UnsafeMutablePointer<Float> { memory.peaks.base }

  /// The denominators: the sum of `e^(logit - peak)` so far, one Double a row.
  var sums: UnsafeMutableRawPointer { UnsafeMutableRawPointer(memory.sums.base) }

  /// Nats of all positions.
  ///
  /// Every chunk, if it is kept, is left as `e^(logit - maximum of the chunk)`.
  func score(kernels: CPUKernels) {
    for chunk in 0..<plan.chunks.count {
      let tokens = plan.chunks[chunk]
      let logits = logits(chunk)
      kernels.linearForward(y: logits, x: hidden, w: w.rows(tokens), accumulate: false)
      parallelFor(hidden.rows, grain: 8) { range in
        for row in range { join(row, of: logits, chunk: chunk, tokens: tokens) }
      }
    }
    for row in 0..<hidden.rows {
      let sum = sums.load(fromByteOffset: row * 8, as: Double.self)
      let distance = Double(peaks[row]) - Double(nllNats.base[row])
      nllNats.base[row] = Float(distance + log(sum))
    }
  }

  /// Joins one row of a chunk to what is known of the row; until the end its nats hold the logit of
  /// its target.
  private func join(_ row: Int, of logits: View, chunk: Int, tokens: Range<Int>) {
    let values = logits.base + row * logits.stride
    let padded = (tokens.count + 7) & ~7
    for index in tokens.count..<padded { values[index] = -.infinity }
    let target = Int(targets[row])
    if tokens.contains(target) { nllNats.base[row] = values[target - tokens.lowerBound] }
    let largest = rowMaximum(values, count: padded)
    // A chunk of nothing but minus infinity, or of NaN, which the maximum passes over.
    let top = largest == -.infinity ? 0 : largest
    let sum =
      plan.keepsLogits
      ? sumOfExponentials(values, count: padded, peak: top, keep: true)
      : sumOfExponentials(values, count: padded, peak: top, keep: false)
    maxima(chunk)[row] = top
    guard chunk > 0 else {
      peaks[row] = top
      sums.storeBytes(of: sum, toByteOffset: row * 8, as: Double.self)
      return
    }
    let old = peaks[row]
    let peak = top > old ? top : old
    let before = sums.load(fromByteOffset: row * 8, as: Double.self)
    let joined = before * exp(Double(old) - Double(peak)) + sum * exp(Double(top) - Double(peak))
    peaks[row] = peak
    sums.storeBytes(of: joined, toByteOffset: row * 8, as: Double.self)
  }

  /// Turns the exponentials of one row of a chunk into `scale · (softmax - onehot)`.
  func differentiate(_ row: Int, of logits: View, chunk: Int, scale: Float) {
    let tokens = plan.chunks[chunk]
    let values = logits.base + row * logits.stride
    let share = exp(Double(maxima(chunk)[row]) - Double(peaks[row]))
    let sum = sums.load(fromByteOffset: row * 8, as: Double.self)
    let factor = Float(Double(scale) * share / sum)
    let padded = (tokens.count + 7) & ~7
    var index = 0
    while index + 16 <= padded {
      store(loadWide(values + index) * factor, values + index)
      index += 16
    }
    if index < padded { store(load(values + index) * factor, values + index) }
    let target = Int(targets[row])
    if tokens.contains(target) { values[target - tokens.lowerBound] -= scale }
  }
}

/// Where the gradients of the head go.
private struct HeadGradient: Sendable {
  let dHidden: View
  let dw: View
  let scale: Float
  let form: ProductForm

  /// `dHidden[positions] = dLogits w`, `dw += dLogitsᵀ hidden[positions]`; blocks and chunks follow
  /// one another.
  func add(_ block: HeadBlock, positions: Range<Int>) {
    let dHidden = dHidden.rows(positions)
    for chunk in 0..<block.plan.chunks.count {
      let tokens = block.plan.chunks[chunk]
      let dLogits = block.logits(chunk)
      parallelFor(dLogits.rows, grain: 8) { range in
        for row in range { block.differentiate(row, of: dLogits, chunk: chunk, scale: scale) }
      }
      gemm(
        c: dHidden, a: .kContiguous(dLogits), b: .mnContiguous(block.w.rows(tokens)),
        accumulate: chunk > 0, form: form)
      gemm(
        c: dw.rows(tokens), a: .mnContiguous(dLogits), b: .mnContiguous(block.hidden),
        accumulate: true, form: form)
    }
  }
}

/// Largest of `count` elements, a multiple of 8; NaN is passed over.
@inline(__always)
private func rowMaximum(_ row: UnsafePointer<Float>, count: Int) -> Float {
  var m0 = WideLanes(repeating: -.infinity)
  var m1 = m0
  var index = 0
  while index + 32 <= count {
    m0 = maximum(m0, loadWide(row + index))
    m1 = maximum(m1, loadWide(row + index + 16))
    index += 32
  }
  let wide = maximum(m0, m1)
  var largest = maximum(wide.lowHalf, wide.highHalf)
  while index < count {
    largest = maximum(largest, load(row + index))
    index += 8
  }
  return horizontalMax(largest)
}

/// `Σ exp(row - peak)` over `count` elements, a multiple of 8; `keep` writes the terms back.
///
/// Runs of 256 are summed in Float and everything above in Double, so the relative error is that of
/// `exponential`, about 1e-7, and so is the absolute error of the nats before they are rounded to
/// Float. NaN anywhere gives NaN.
@inline(__always)
private func sumOfExponentials(
  _ row: UnsafeMutablePointer<Float>, count: Int, peak: Float, keep: Bool
) -> Double {
  let top = WideLanes(repeating: peak)
  var sum = 0.0
  var index = 0
  while index < count {
    let end = min(count, index + 256)
    // Eight sums, whatever the width of a register.
    var run = Lanes.zero
    while index + 16 <= end {
      let value = exponential(loadWide(row + index) - top)
      if keep { store(value, row + index) }
      run += value.lowHalf
      run += value.highHalf
      index += 16
    }
    if index < end {
      let value = exponential(load(row + index) - top.lowHalf)
      if keep { store(value, row + index) }
      run += value
      index += 8
    }
    sum += Double(horizontalSum(run))
  }
  return sum
}
