import CPUBackend
import Foundation
import Host
import OracleBackend
import Tensor
import TestSupport
import Testing

/// Vectors of `scripts/reference/gen_combiner_golden.py`, an independent Float64 implementation.
@Suite struct CombinerAttentionGoldenTests {
  struct Golden: Decodable, Sendable, CustomTestStringConvertible {
    let name: String
    let pattern: CombinerShape.Pattern
    let segment: Int
    let pooling: CombinerShape.Pooling
    let address: CombinerShape.Address
    let q: [[[Double]]]  // [H][L][D], likewise k, dq, dk
    let k: [[[Double]]]
    let v: [[[Double]]]  // [H][L][E], likewise dO, o, dv
    let dO: [[[Double]]]
    let o: [[[Double]]]
    let lse: [[Double]]  // [H][L]
    let dq: [[[Double]]]
    let dk: [[[Double]]]
    let dv: [[[Double]]]
    let projection: Projection?

    var testDescription: String { name }
  }

  struct Projection: Decodable, Sendable {
    let epsilon: Double
    let x: [[Double]]  // [L][C], likewise dx
    let summaryWeight: [[Double]]  // [C][H·E]
    let addressWeight: [[Double]]  // [H·D][C]
    let gain: [Double]
    let bias: [Double]
    let dx: [[Double]]
    let dSummaryWeight: [[Double]]
    let dAddressWeight: [[Double]]
    let dGain: [Double]
    let dBias: [Double]
  }

  static func load() throws -> [Golden] {
    struct File: Decodable { let cases: [Golden] }
    let url = try #require(
      Bundle.module.url(
        forResource: "combiner", withExtension: "json", subdirectory: "Fixtures/combiner"))
    return try JSONDecoder().decode(File.self, from: Data(contentsOf: url)).cases
  }

  @Test func everyPatternIsThere() throws {
    let cases = try Self.load()
    #expect(cases.count == 25)
    #expect(Set(cases.map(\.pattern)) == Set(CombinerShape.Pattern.allCases))
    #expect(Set(cases.map(\.address)) == Set(CombinerShape.Address.allCases))
  }

  @Test func equalsReference() throws {
    for golden in try Self.load() { try check(golden) }
  }

  private func check(_ golden: Golden) throws {
    let heads = golden.q.count
    let length = golden.q[0].count
    let problem = AttentionCase(
      starts: [0, length], heads: heads, keyWidth: golden.q[0][0].count,
      valueWidth: golden.v[0][0].count, distances: nil, seed: 1)
    for (view, rows) in [
      (problem.q, golden.q), (problem.k, golden.k), (problem.v, golden.v),
      (problem.dO, golden.dO),
    ] {
      for head in 0..<heads { fill(view, rows[head], head: head) }
    }
    let shape = CombinerShape(
      heads: heads, scale: problem.scale, pattern: golden.pattern, segment: golden.segment,
      pooling: golden.pooling, address: golden.address)
    let projection = golden.projection.map { CombinerProjection($0) }
    let dProjection = projection.map { ProjectionGradients(of: $0) }
    let result = AttentionResult(problem)
    let attention = CPUKernels().combinerAttention(shape)
    let tensors = problem.tensors(result, projection)
    attention.forward(tensors, problem.pass)
    attention.backward(tensors, problem.gradients(result, dProjection), problem.pass)
    for head in 0..<heads {
      func rows(_ view: View) -> [[Double]] { problem.rows(view, sequence: 0, head: head) }
      let difference = zip(rows(result.o).joined(), golden.o[head].joined()).map {
        $0.isNaN ? .infinity : abs($0 - $1)
      }
      #expect(difference.max() ?? 0 < 2e-5, "\(golden.name)")
      let lse = result.lse.rows(head..<head + 1).elements.map(Double.init)
      #expect(relativeError([lse], [golden.lse[head]]) < 2e-5, "\(golden.name)")
      #expect(relativeError(rows(result.dq), golden.dq[head]) < 1e-4, "\(golden.name)")
      #expect(relativeError(rows(result.dk), golden.dk[head]) < 1e-4, "\(golden.name)")
      #expect(relativeError(rows(result.dv), golden.dv[head]) < 1e-4, "\(golden.name)")
    }
    guard let expected = golden.projection, let actual = dProjection else { return }
    for (view, rows) in [
      (actual.dInput, expected.dx), (actual.dSummaryWeight, expected.dSummaryWeight),
      (actual.dAddressWeight, expected.dAddressWeight), (actual.dGain, [expected.dGain]),
      (actual.dBias, [expected.dBias]),
    ] {
      #expect(relativeError(Matrix(view).nested, rows) < 1e-4, "\(golden.name)")
    }
  }

  private func fill(_ view: View, _ rows: [[Double]], head: Int) {
    for (row, values) in rows.enumerated() {
      for (column, value) in values.enumerated() {
        view[row, head * values.count + column] = Float(value)
      }
    }
  }
}

extension CombinerProjection {
  fileprivate init(_ golden: CombinerAttentionGoldenTests.Projection) {
    func view(_ rows: [[Double]]) -> View {
      View(rows: rows.count, columns: rows[0].count, elements: rows.joined().map { Float($0) })
    }
    self.init(
      input: view(golden.x),
      own: [
        view(golden.summaryWeight), view(golden.addressWeight), view([golden.gain]),
        view([golden.bias]),
      ], epsilon: Float(golden.epsilon))
  }
}

extension Matrix {
  /// Row after row.
  fileprivate var nested: [[Double]] {
    (0..<rows).map { row in (0..<columns).map { self[row, $0] } }
  }
}
