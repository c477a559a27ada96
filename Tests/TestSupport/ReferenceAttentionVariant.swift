import CPUBackend
import Host
import OracleBackend
package import Tensor

/// One attention and its parameters, for properties that all of them share.
package enum AttentionVariant: Sendable, CustomStringConvertible {
  case softmax(distances: Int?)
  case hierarchical(blockSize: Int, fineQuery: Bool)
  case combiner(
    CombinerShape.Pattern, segment: Int, pooling: CombinerShape.Pooling = .max,
    address: CombinerShape.Address = .wsum)

  package var description: String {
    switch self {
    case .softmax(let distances): "softmax, bias \(distances ?? 0)"
    case .hierarchical(let blockSize, let fineQuery):
      "hierarchical \(blockSize) \(fineQuery ? "fine" : "coarse")"
    case .combiner(let pattern, let segment, let pooling, let address):
      "combiner \(pattern) \(segment) \(pooling) \(address)"
    }
  }

  /// Columns of the bias table.
  package var distances: Int? {
    switch self {
    case .softmax(let distances): distances
    case .hierarchical(let blockSize, _): 2 * blockSize
    case .combiner: nil
    }
  }

  /// The Combiner attention of a problem.
  package func combinerShape(_ problem: AttentionCase) -> CombinerShape? {
    guard case .combiner(let pattern, let segment, let pooling, let address) = self else {
      return nil
    }
    return CombinerShape(
      heads: problem.heads, scale: problem.scale, pattern: pattern, segment: segment,
      pooling: pooling, address: address)
  }

  private func requiredShape(_ problem: AttentionCase) -> CombinerShape {
    guard let shape = combinerShape(problem) else { preconditionFailure("no Combiner") }
    return shape
  }

  /// Seeded inputs.
  package func problem(
    lengths: [Int], heads: Int, keyWidth: Int, valueWidth: Int, seed: UInt64 = 1, gain: Double = 1
  ) -> AttentionCase {
    AttentionCase(
      starts: lengths.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1) }, heads: heads,
      keyWidth: keyWidth, valueWidth: valueWidth, distances: distances, seed: seed, gain: gain)
  }

  /// The attention of a problem, on this processor.
  package func attention(_ problem: AttentionCase) throws -> any AttentionOperator {
    let kernels = CPUKernels()
    switch self {
    case .softmax:
      return kernels.softmaxAttention(SoftmaxShape(heads: problem.heads, scale: problem.scale))
    case .hierarchical(let blockSize, let fineQuery):
      return try kernels.hierarchicalAttention(
        HierarchicalShape(
          heads: problem.heads, scale: problem.scale, blockSize: blockSize, fineQuery: fineQuery))
    case .combiner: return kernels.combinerAttention(requiredShape(problem))
    }
  }

  private func required(_ problem: AttentionCase) -> any AttentionOperator {
    do { return try attention(problem) } catch { preconditionFailure("\(error)") }
  }

  /// Fills `o` and `lse`.
  package func forward(_ problem: AttentionCase, _ result: AttentionResult) {
    required(problem).forward(problem.tensors(result), problem.pass)
  }

  /// Fills the gradients from `o` and `lse`.
  package func backward(_ problem: AttentionCase, _ result: AttentionResult) {
    required(problem).backward(
      problem.tensors(result), problem.gradients(result), problem.pass)
  }

  /// Forward, then backward.
  package func run(_ problem: AttentionCase) -> AttentionResult {
    let result = AttentionResult(problem)
    forward(problem, result)
    backward(problem, result)
    return result
  }

  /// Outputs of a single sequence, one position at a time.
  package func decode(_ problem: AttentionCase) -> View {
    let o = View(rows: problem.positions, columns: problem.v.columns)
    let stream = DecodedStream(required(problem), problem)
    for position in 0..<problem.positions { stream.step(position, into: o) }
    return o
  }

  /// The twin in Double: outputs, log-sum-exp and gradients of one sequence and head.
  package func reference(
    _ problem: AttentionCase, sequence: Int, head: Int
  ) -> ReferenceAttentionResult {
    func rows(_ view: View) -> [[Double]] { problem.rows(view, sequence: sequence, head: head) }
    let bias = problem.bias?.rows(head..<head + 1).elements.map(Double.init)
    let dO = rows(problem.dO)
    switch self {
    case .softmax:
      let twin = ReferenceSoftmaxAttention(
        q: rows(problem.q), k: rows(problem.k), v: rows(problem.v), bias: bias,
        scale: Double(problem.scale))
      return ReferenceAttentionResult(twin.forward(), twin.backward(dO: dO))
    case .hierarchical(let blockSize, let fineQuery):
      let twin = ReferenceHierarchicalAttention(
        q: rows(problem.q), k: rows(problem.k), v: rows(problem.v), bias: bias ?? [],
        scale: Double(problem.scale), blockSize: blockSize, fineQuery: fineQuery)
      return ReferenceAttentionResult(twin.forward(), twin.backward(dO: dO))
    case .combiner:
      let twin = ReferenceCombinerAttention(
        q: rows(problem.q), k: rows(problem.k), v: rows(problem.v), shape: requiredShape(problem))
      let (dq, dk, dv, _) = twin.backward(dO: dO)
      return ReferenceAttentionResult(twin.forward(), (dq, dk, dv, [0]))
    }
  }
}

/// What a twin computes.
package struct ReferenceAttentionResult {
  package let o: [[Double]]
  package let lse: [Double]
  package let dq: [[Double]]
  package let dk: [[Double]]
  package let dv: [[Double]]
  package let dBias: [Double]

  init(
    _ forward: (o: [[Double]], lse: [Double]),
    _ backward: (dq: [[Double]], dk: [[Double]], dv: [[Double]], dBias: [Double])
  ) {
    (o, lse) = forward
    (dq, dk, dv, dBias) = backward
  }
}

extension AttentionVariant {
  /// One Combiner attention of every pattern and pooling, with short segments.
  package static let combiners: [AttentionVariant] = [
    .combiner(.fixed, segment: 16),
    .combiner(.fixed, segment: 7, pooling: .mean),
    .combiner(.fixed, segment: 48),
    .combiner(.logsparse, segment: 64),
    .combiner(.logsparse, segment: 64, pooling: .mean),
    .combiner(.rowmajor, segment: 16, pooling: .mean),
    .combiner(.rowmajor, segment: 7, pooling: .mean, address: .none),
    .combiner(.vertical, segment: 16),
    .combiner(.vertical, segment: 7, pooling: .mean),
    .combiner(.vertical, segment: 40),
    .combiner(.mixture, segment: 16),
    .combiner(.mixture, segment: 7, pooling: .mean),
  ]

  /// Those whose pooling has no kinks, so that differences of their outputs are slopes.
  package static let smoothCombiners = combiners.filter {
    if case .combiner(_, _, .mean, _) = $0 { true } else { false }
  }
}

/// One stream of an attention, which takes the positions of a case.
package final class DecodedStream {
  private let attention: any AttentionOperator
  private let problem: AttentionCase
  package let state: any AttentionState

  package init(_ attention: any AttentionOperator, _ problem: AttentionCase) {
    self.attention = attention
    self.problem = problem
    do {
      state = try attention.makeState(
        HeadWidths(keys: problem.keyWidth, values: problem.valueWidth), layer: 0,
        draw: .evaluation(seed: 0))
    } catch {
      preconditionFailure("\(error)")
    }
  }

  private init(_ other: DecodedStream) {
    attention = other.attention
    problem = other.problem
    state = other.state.copy()
  }

  /// Another stream with the same past.
  package func copy() -> DecodedStream { DecodedStream(self) }

  /// Takes a position in, and writes its output into a row of `o`, its own unless told otherwise.
  package func step(_ position: Int, into o: View, row: Int? = nil) {
    let own = position..<position + 1
    let target = row ?? position
    attention.step(
      AttentionTensors(
        q: problem.q.rows(own), k: problem.k.rows(own), v: problem.v.rows(own),
        bias: problem.bias, o: o.rows(target..<target + 1), saved: View(rows: 0, columns: 1)),
      [state])
  }
}
