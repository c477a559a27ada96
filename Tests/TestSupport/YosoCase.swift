package import CPUBackend
import Deterministic
import Host
package import OracleBackend
package import Tensor

/// YOSO attention on a seeded case, with hyperplanes of its own.
package struct YosoCase: Sendable {
  package let shape: YosoShape
  package let problem: AttentionCase
  package let planes: View?

  package init(
    _ shape: YosoShape, lengths: [Int], keyWidth: Int = 8, valueWidth: Int = 8, seed: UInt64 = 1
  ) {
    self.shape = shape
    problem = AttentionCase(
      starts: lengths.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1) }, heads: shape.heads,
      keyWidth: keyWidth, valueWidth: valueWidth, distances: nil, seed: seed)
    planes = shape.isRandom ? Self.planes(shape, width: keyWidth, seed: seed) : nil
  }

  package init(_ shape: YosoShape, _ problem: AttentionCase, planes: View?) {
    self.shape = shape
    self.problem = problem
    self.planes = planes
  }

  package static func planes(_ shape: YosoShape, width: Int, seed: UInt64) -> View {
    shape.drawPlanes(width: width) { CounterRandom(seed: seed, 77, UInt64($0)) }
  }

  private func attention(form: YosoBackwardForm? = nil) -> YosoOperator {
    YosoOperator(shape, planes: planes, form: form)
  }

  private func tensors(_ result: YosoResult) -> AttentionTensors {
    AttentionTensors(
      q: problem.q, k: problem.k, v: problem.v, o: result.o, saved: result.saved)
  }

  package func forward(_ result: YosoResult) {
    attention().forward(tensors(result), problem.pass)
  }

  package func backward(_ result: YosoResult, form: YosoBackwardForm? = nil) {
    attention(form: form).backward(
      tensors(result),
      AttentionGradients(dO: problem.dO, dq: result.dq, dk: result.dk, dv: result.dv),
      problem.pass)
  }

  package func run(form: YosoBackwardForm? = nil) -> YosoResult {
    run(into: YosoResult(self), form: form)
  }

  package func run(into result: YosoResult, form: YosoBackwardForm? = nil) -> YosoResult {
    forward(result)
    backward(result, form: form)
    return result
  }

  package var outputs: View {
    let result = YosoResult(self)
    forward(result)
    return result.o
  }

  /// Outputs of a single sequence, one position at a time.
  package func decode() -> View {
    let o = View(rows: problem.positions, columns: problem.v.columns)
    let stream = makeStream()
    for position in 0..<problem.positions { stream.step(position, into: o) }
    return o
  }

  package func makeStream() -> DecodedStream { DecodedStream(attention(), problem) }

  /// Codes of one head in the rows of one sequence, `[hashes][L]`.
  package func codes(_ rows: View, sequence: Int, head: Int) -> [[Int]] {
    guard let planes else { return [] }
    let width = problem.keyWidth
    let count = shape.hashes * shape.bits
    let range = problem.starts[sequence]..<problem.starts[sequence + 1]
    return CPUKernels().yosoCodes(
      rows.rows(range).columns(head * width..<(head + 1) * width),
      planes: planes.rows(head * count..<(head + 1) * count), hashes: shape.hashes,
      bits: shape.bits)
  }

  /// The twin of one sequence and head, with the codes of the kernels.
  package func reference(sequence: Int = 0, head: Int = 0) -> ReferenceYosoAttention {
    func rows(_ view: View) -> [[Double]] { problem.rows(view, sequence: sequence, head: head) }
    let queries = codes(problem.q, sequence: sequence, head: head)
    let keys = codes(problem.k, sequence: sequence, head: head)
    let weights: ReferenceYosoAttention.Weights =
      switch shape.estimate {
      case .expectation: .expectation
      case .sampled: .sampled(queries: queries, keys: keys)
      case .hybrid: .hybrid(queries: queries, keys: keys, chunk: shape.chunk)
      }
    return ReferenceYosoAttention(
      q: rows(problem.q), k: rows(problem.k), v: rows(problem.v), bits: shape.bits,
      weights: weights, slope: shape.slope)
  }
}

/// What a forward and a backward pass of YOSO attention write.
package struct YosoResult: Sendable {
  package let o: View
  package let saved: View
  package let dq: View
  package let dk: View
  package let dv: View

  /// Outputs of a case, filled with a number that must not stay.
  package init(_ own: YosoCase) {
    let problem = own.problem
    let keys = problem.heads * problem.keyWidth
    let values = problem.heads * problem.valueWidth
    o = filledView(rows: problem.positions, columns: values, value: 9, padding: 3)
    saved = View(rows: own.shape.savedRows, columns: problem.positions)
    let all = View(rows: problem.positions, columns: 2 * keys + values)
    all.fill(9)
    dq = all.columns(0..<keys)
    dk = all.columns(keys..<2 * keys)
    dv = all.columns(2 * keys..<2 * keys + values)
  }

  /// Outputs of a case in bands, in bands too.
  package init(inBands own: YosoCase) {
    let result = AttentionResult(inBands: own.problem)
    o = result.o
    saved = View(rows: own.shape.savedRows, columns: own.problem.positions)
    dq = result.dq
    dk = result.dk
    dv = result.dv
  }

  package var all: [View] { [o, dq, dk, dv] }
}
