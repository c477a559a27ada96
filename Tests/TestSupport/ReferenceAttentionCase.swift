import CPUBackend
import Deterministic
import Host
package import Tensor

/// Seeded inputs of an attention kernel, q, k and v as columns of one matrix.
package struct AttentionCase {
  package var starts: [Int]
  package let heads: Int
  package let keyWidth: Int
  package let valueWidth: Int
  package var scale: Float
  package let q: View
  package let k: View
  package let v: View
  package let dO: View
  package let bias: View?

  package init(
    starts: [Int], heads: Int, keyWidth: Int, valueWidth: Int, distances: Int?, seed: UInt64,
    gain: Double = 1
  ) {
    self.starts = starts
    self.heads = heads
    self.keyWidth = keyWidth
    self.valueWidth = valueWidth
    let positions = starts.last ?? 0
    let keys = heads * keyWidth
    let values = heads * valueWidth
    // One odd column more, so that rows are not aligned to anything.
    let all = View(rows: positions, columns: 2 * keys + values + 1)
    all.fillGaussian(deviation: 1, from: CounterRandom(seed: seed, 1))
    q = all.columns(0..<keys)
    k = all.columns(keys..<2 * keys)
    v = all.columns(2 * keys..<2 * keys + values)
    dO = View(rows: positions, columns: values)
    dO.fillGaussian(deviation: 1, from: CounterRandom(seed: seed, 2))
    scale = Float(gain / Double(keyWidth).squareRoot())
    bias = distances.map { View(rows: heads, columns: $0) }
    bias?.fillGaussian(deviation: 0.3, from: CounterRandom(seed: seed, 3))
  }

  /// The given rows of another case as one sequence, in the same memory.
  package init(_ other: AttentionCase, rows: Range<Int>) {
    starts = [0, rows.count]
    heads = other.heads
    keyWidth = other.keyWidth
    valueWidth = other.valueWidth
    scale = other.scale
    q = other.q.rows(rows)
    k = other.k.rows(rows)
    v = other.v.rows(rows)
    dO = other.dO.rows(rows)
    bias = other.bias
  }

  /// The same numbers with every head in one token.
  package var inBands: AttentionCase { AttentionCase(inBands: self) }

  private init(inBands other: AttentionCase) {
    starts = other.starts
    heads = other.heads
    keyWidth = other.keyWidth
    valueWidth = other.valueWidth
    scale = other.scale
    q = TestSupport.inBands(other.q, width: keyWidth)
    k = TestSupport.inBands(other.k, width: keyWidth)
    v = TestSupport.inBands(other.v, width: valueWidth)
    dO = TestSupport.inBands(other.dO, width: valueWidth)
    bias = other.bias
  }

  package var positions: Int { starts.last ?? 0 }

  /// The one pass over it.
  package var pass: AttentionPass {
    do {
      return AttentionPass(
        try Sequences(starts, on: CPUKernels()), layer: 0, draw: .evaluation(seed: 0))
    } catch {
      preconditionFailure("\(error)")
    }
  }

  package func tensors(_ result: AttentionResult) -> AttentionTensors {
    AttentionTensors(q: q, k: k, v: v, bias: bias, o: result.o, saved: result.lse)
  }

  package func gradients(_ result: AttentionResult) -> AttentionGradients {
    AttentionGradients(
      dO: dO, dq: result.dq, dk: result.dk, dv: result.dv, dBias: result.dBias)
  }

  /// Columns of one head in the rows of one sequence.
  package func rows(_ view: View, sequence: Int, head: Int) -> [[Double]] {
    let width = view.columns / heads
    return (starts[sequence]..<starts[sequence + 1]).map { row in
      (0..<width).map { Double(view[row, head * width + $0]) }
    }
  }
}

/// What a forward and a backward pass write.
package struct AttentionResult {
  package let o: View
  package let lse: View
  package let dq: View
  package let dk: View
  package let dv: View
  package let dBias: View?

  /// Zeroed outputs of a case; dq, dk and dv are columns of one matrix like their inputs.
  package init(_ problem: AttentionCase) {
    let keys = problem.heads * problem.keyWidth
    let values = problem.heads * problem.valueWidth
    o = View(rows: problem.positions, columns: values)
    lse = View(rows: problem.heads, columns: problem.positions)
    let all = View(rows: problem.positions, columns: 2 * keys + values)
    all.fill(9)
    dq = all.columns(0..<keys)
    dk = all.columns(keys..<2 * keys)
    dv = all.columns(2 * keys..<2 * keys + values)
    dBias = problem.bias.map { View(rows: $0.rows, columns: $0.columns) }
  }

  /// Outputs of a case in bands, in bands too.
  package init(inBands problem: AttentionCase) {
    func empty(_ view: View) -> View {
      TestSupport.inBands(view, width: view.columns / problem.heads, isEmpty: true)
    }
    o = empty(problem.v)
    lse = View(rows: problem.heads, columns: problem.positions)
    dq = empty(problem.q)
    dk = empty(problem.k)
    dv = empty(problem.v)
    dBias = problem.bias.map { View(rows: $0.rows, columns: $0.columns) }
  }

  package var all: [[Float]] {
    [o.elements, lse.elements, dq.elements, dk.elements, dv.elements, dBias?.elements ?? []]
  }
}

/// Largest difference, relative to the largest expected entry but at least 1.
package func relativeError(_ actual: [[Double]], _ expected: [[Double]]) -> Double {
  var difference = 0.0
  var largest = 1.0
  for (a, b) in zip(actual, expected) {
    for (x, y) in zip(a, b) {
      // A NaN must not vanish in a comparison.
      difference = x.isNaN ? .infinity : max(difference, abs(x - y))
      largest = max(largest, abs(y))
    }
  }
  return actual.count == expected.count ? difference / largest : .infinity
}
