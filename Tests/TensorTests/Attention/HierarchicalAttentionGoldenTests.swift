import Foundation
import Host
import Tensor
import TestSupport
import Testing

/// Vectors of `scripts/reference/gen_h_golden.py`, an independent Float64 implementation.
@Suite struct HierarchicalAttentionGoldenTests {
  struct Golden: Decodable {
    let name: String
    let blockSize: Int
    let scale: Double
    let fineQuery: Bool
    let q: [[[Double]]]  // [H][L][D], likewise k, dq, dk
    let k: [[[Double]]]
    let v: [[[Double]]]  // [H][L][E], likewise dO, out, dv
    let dO: [[[Double]]]
    let out: [[[Double]]]
    let dq: [[[Double]]]
    let dk: [[[Double]]]
    let dv: [[[Double]]]
    let bias: [[Double]]  // [H][2 · blockSize]
    let dBias: [[Double]]
    let lse: [[Double]]  // [H][L]

    enum CodingKeys: String, CodingKey {
      case name, scale, q, k, v, dO, out, dq, dk, dv, bias, lse
      case blockSize = "Nr"
      case fineQuery = "fine_query"
      case dBias = "dbias"
    }
  }

  static let names = [
    "one_token", "one_block", "partial_block", "two_blocks", "three_levels", "ragged_37",
    "deep_nr2", "ragged_67_nr2", "nr6", "nr16", "wide_values", "large_logits",
  ]

  static func load(_ name: String, _ query: String) throws -> Golden {
    let url = try #require(
      Bundle.module.url(
        forResource: name, withExtension: "json", subdirectory: "Fixtures/h-attention/\(query)"))
    return try JSONDecoder().decode(Golden.self, from: Data(contentsOf: url))
  }

  @Test(arguments: names, ["coarse", "fine"])
  func equalsReference(name: String, query: String) throws {
    let golden = try Self.load(name, query)
    let heads = golden.q.count
    let length = golden.q[0].count
    let variant = AttentionVariant.hierarchical(
      blockSize: golden.blockSize, fineQuery: golden.fineQuery)
    var problem = variant.problem(
      lengths: [length], heads: heads, keyWidth: golden.q[0][0].count,
      valueWidth: golden.v[0][0].count)
    problem.scale = Float(golden.scale)
    for head in 0..<heads {
      fill(problem.q, golden.q[head], head: head)
      fill(problem.k, golden.k[head], head: head)
      fill(problem.v, golden.v[head], head: head)
      fill(problem.dO, golden.dO[head], head: head)
      for (index, value) in golden.bias[head].enumerated() {
        problem.bias?[head, index] = Float(value)
      }
    }
    let result = variant.run(problem)
    for head in 0..<heads {
      func rows(_ view: View) -> [[Double]] { problem.rows(view, sequence: 0, head: head) }
      #expect(largestDifference(rows(result.o), golden.out[head]) < 2e-5)
      let lse = result.lse.rows(head..<head + 1).elements.map(Double.init)
      #expect(relativeError([lse], [golden.lse[head]]) < 2e-5)
      #expect(relativeError(rows(result.dq), golden.dq[head]) < 1e-4)
      #expect(relativeError(rows(result.dk), golden.dk[head]) < 1e-4)
      #expect(relativeError(rows(result.dv), golden.dv[head]) < 1e-4)
      let dBias = try #require(result.dBias).rows(head..<head + 1).elements.map(Double.init)
      #expect(relativeError([dBias], [golden.dBias[head]]) < 1e-4)
    }
  }

  private func fill(_ view: View, _ rows: [[Double]], head: Int) {
    for (row, values) in rows.enumerated() {
      for (column, value) in values.enumerated() {
        view[row, head * values.count + column] = Float(value)
      }
    }
  }

  private func largestDifference(_ actual: [[Double]], _ expected: [[Double]]) -> Double {
    zip(actual.joined(), expected.joined()).map { $0.isNaN ? .infinity : abs($0 - $1) }.max() ?? 0
  }
}
