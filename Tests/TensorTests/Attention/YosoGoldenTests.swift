import CPUBackend
import Deterministic
import Foundation
import Host
import OracleBackend
import Tensor
import TestSupport
import Testing

/// Vectors of `scripts/reference/gen_yoso_golden.py`, an independent Float64 implementation.
@Suite struct YosoGoldenTests {
  struct Golden: Decodable {
    let cases: [String: Case]
  }

  struct Case: Decodable {
    let inputs: [String: Values]?
    let outputs: [String: Values]?
    let rows: [Row]?

    enum CodingKeys: String, CodingKey {
      case inputs = "in"
      case outputs = "out"
      case rows
    }

    func input(_ name: String) throws -> Values { try #require(inputs?[name], "\(name)") }
    func output(_ name: String) throws -> Values { try #require(outputs?[name], "\(name)") }
  }

  struct Values: Decodable {
    let shape: [Int]
    let data: [Double]

    var rows: [[Double]] {
      let width = shape.dropFirst().reduce(1, *)
      return (0..<shape[0]).map { Array(data[$0 * width..<($0 + 1) * width]) }
    }

    /// Columns as lists of whole numbers: codes `[L, hashes]` by hash.
    var codes: [[Int]] { (0..<shape[1]).map { hash in rows.map { Int($0[hash]) } } }

    var view: View {
      View(rows: shape[0], columns: data.count / shape[0], elements: data.map(Float.init))
    }
  }

  struct Row: Decodable {
    let words: [String]?
    let key: String?
    let u64: [String]?
  }

  static func load(_ name: String) throws -> Case {
    let url = try #require(
      Bundle.module.url(
        forResource: "golden", withExtension: "json", subdirectory: "Fixtures/yoso-attention"))
    let golden = try JSONDecoder().decode(Golden.self, from: Foundation.Data(contentsOf: url))
    return try #require(golden.cases[name])
  }

  private func rows(_ view: View) -> [[Double]] {
    (0..<view.rows).map { row in (0..<view.columns).map { Double(view[row, $0]) } }
  }

  /// `‖actual - expected‖ / ‖expected‖`.
  private func error(_ actual: [[Double]], _ expected: [[Double]]) -> Double {
    var difference = 0.0
    var size = 0.0
    for (a, b) in zip(actual.joined(), expected.joined()) {
      difference += (a - b) * (a - b)
      size += b * b
    }
    return (difference / max(size, 1e-300)).squareRoot()
  }

  private func unit(_ rows: [[Double]]) -> [[Double]] {
    rows.map { row in
      let norm = max(row.reduce(0) { $0 + $1 * $1 }.squareRoot(), 1e-12)
      return row.map { $0 / norm }
    }
  }

  private struct Outcome {
    let o, saved, dq, dk, dv: View
  }

  private func pass(_ starts: [Int]) throws -> AttentionPass {
    AttentionPass(
      try Sequences(starts, on: CPUKernels()), layer: 0, draw: .evaluation(seed: 0))
  }

  private func run(
    _ shape: YosoShape, _ golden: Case, planes: View?, starts: [Int]
  ) throws -> Outcome {
    let (q, k, v) = try (
      golden.input("q").view, golden.input("k").view, golden.input("v").view
    )
    func like(_ view: View) -> View { View(rows: view.rows, columns: view.columns) }
    let outcome = Outcome(
      o: like(v), saved: View(rows: shape.savedRows, columns: q.rows), dq: like(q), dk: like(k),
      dv: like(v))
    let attention = YosoOperator(shape, planes: planes)
    let tensors = AttentionTensors(q: q, k: k, v: v, o: outcome.o, saved: outcome.saved)
    let pass = try pass(starts)
    attention.forward(tensors, pass)
    attention.backward(
      tensors,
      AttentionGradients(
        dO: try golden.input("g").view, dq: outcome.dq, dk: outcome.dk, dv: outcome.dv), pass)
    return outcome
  }

  @Test(arguments: YosoShape.Slope.allCases)
  func expectationWithGradients(slope: YosoShape.Slope) throws {
    let golden = try Self.load("yosoe")
    let shape = YosoShape(heads: 1, estimate: .expectation, bits: 5, slope: slope)
    let result = try run(shape, golden, planes: nil, starts: [0, 10])
    #expect(try error(rows(result.o), unit(golden.output("X").rows)) < 2e-5)
    let name = slope.rawValue
    #expect(try error(rows(result.dq), golden.output("dq_\(name)").rows) < 1e-4)
    #expect(try error(rows(result.dk), golden.output("dk_\(name)").rows) < 1e-4)
    // The case adds a causal convolution of the values to its output; its part of dv goes.
    var dv = try golden.output("dv_\(name)").rows
    let filter = try golden.input("f").data
    let gradients = try golden.input("g").rows
    for j in dv.indices {
      for (tap, weight) in filter.enumerated() where j + filter.count - 1 - tap < dv.count {
        for column in dv[j].indices {
          dv[j][column] -= weight * gradients[j + filter.count - 1 - tap][column]
        }
      }
    }
    #expect(error(rows(result.dv), dv) < 1e-4)
  }

  @Test func twoSequences() throws {
    let golden = try Self.load("yosoe_docs")
    let shape = YosoShape(heads: 1, estimate: .expectation, bits: 8)
    let result = try run(shape, golden, planes: nil, starts: [0, 4, 9])
    #expect(try error(rows(result.o), golden.output("out").rows) < 2e-5)
    #expect(try error(rows(result.dq), golden.output("dq_lower").rows) < 1e-4)
    #expect(try error(rows(result.dk), golden.output("dk_lower").rows) < 1e-4)
    #expect(try error(rows(result.dv), golden.output("dv").rows) < 1e-4)
  }

  @Test func hashCodes() throws {
    let golden = try Self.load("hash")
    let planes = try golden.input("planes")
    let codes = CPUKernels().yosoCodes(
      try golden.input("x").view,
      planes: View(rows: 12, columns: 8, elements: planes.data.map(Float.init)), hashes: 3,
      bits: 4)
    #expect(try codes == golden.output("codes").codes)
  }

  @Test func sampledLayerWithAnEmptyRow() throws {
    let golden = try Self.load("sampled_layer")
    let planes = try golden.input("planes")
    let shape = YosoShape(heads: 1, estimate: .sampled, bits: 3, hashes: 4)
    let result = try run(
      shape, golden,
      planes: View(rows: 12, columns: 8, elements: planes.data.map(Float.init)), starts: [0, 12])
    #expect(try error(rows(result.o), golden.output("out").rows) < 2e-5)
    #expect(try error(rows(result.dq), golden.output("dq").rows) < 1e-4)
    #expect(try error(rows(result.dk), golden.output("dk").rows) < 1e-4)
    #expect(try error(rows(result.dv), golden.output("dv").rows) < 1e-4)
    #expect(rows(result.o)[0].allSatisfy { $0 == 0 })
    #expect(rows(result.dq)[0].allSatisfy { $0 == 0 })
  }

  /// Codes are given: coordinates of their own, too small to turn the vectors, carry their bits
  /// past hyperplanes that look at nothing else.
  private func coded(_ golden: Case, _ shape: YosoShape, starts: [Int]) throws -> [[Double]] {
    let (m, tau) = (shape.hashes, shape.bits)
    func carry(_ rows: [[Double]], _ codes: [[Int]]) -> View {
      var all: [Float] = []
      for (row, codes) in zip(rows, codes) {
        all += row.map(Float.init)
        for code in codes {
          for bit in 0..<tau { all.append(code >> bit & 1 == 1 ? 1e-6 : -1e-6) }
        }
      }
      return View(rows: rows.count, columns: all.count / rows.count, elements: all)
    }
    func byRow(_ values: Values) -> [[Int]] { values.rows.map { $0.map { Int($0) } } }
    let q = try carry(golden.input("qh").rows, byRow(golden.input("cq")))
    let k = try carry(golden.input("kh").rows, byRow(golden.input("ck")))
    let v = try golden.input("v").view
    let planes = View(rows: m * tau, columns: q.columns)
    for row in 0..<m * tau { planes[row, q.columns - m * tau + row] = 1 }
    let o = View(rows: v.rows, columns: v.columns)
    let saved = View(rows: shape.savedRows, columns: v.rows)
    YosoOperator(shape, planes: planes).forward(
      AttentionTensors(q: q, k: k, v: v, o: o, saved: saved), try pass(starts))
    // Row 0 of saved is the length of X in units of 1 / hashes.
    return (0..<o.rows).map { row in
      (0..<o.columns).map { Double(o[row, $0] * saved[0, row]) / Double(m) }
    }
  }

  @Test func sampledCore() throws {
    let golden = try Self.load("sampled_core")
    let shape = YosoShape(heads: 1, estimate: .sampled, bits: 3, hashes: 4)
    let whole = try coded(golden, shape, starts: [0, 14])
    #expect(try error(whole, golden.output("X").rows) < 2e-5)
    let two = try coded(golden, shape, starts: [0, 5, 14])
    #expect(try error(two, golden.output("X_doc").rows) < 2e-5)
    let hybrid = YosoShape(heads: 1, estimate: .hybrid, bits: 3, hashes: 4, chunk: 4)
    let mixed = try coded(golden, hybrid, starts: [0, 14])
    #expect(try error(mixed, golden.output("X_hybrid").rows) < 2e-5)
  }

  /// The twin, which the kernels are held against, on the same vectors.
  @Test func twinOfTheSampledCore() throws {
    let golden = try Self.load("sampled_core")
    let queries = try golden.input("cq").codes
    let keys = try golden.input("ck").codes
    func twin(_ weights: ReferenceYosoAttention.Weights) throws -> ReferenceYosoAttention {
      try ReferenceYosoAttention(
        q: golden.input("qh").rows, k: golden.input("kh").rows, v: golden.input("v").rows, bits: 3,
        weights: weights)
    }
    let sampled = try twin(.sampled(queries: queries, keys: keys))
    #expect(try error(sampled.forward().x, golden.output("X").rows) < 1e-10)
    let dX = try golden.input("dX").rows
    let gradients = sampled.coreBackward(dX: dX)
    #expect(try error(gradients.dq, golden.output("dQ_lower").rows) < 1e-10)
    #expect(try error(gradients.dk, golden.output("dK_lower").rows) < 1e-10)
    #expect(try error(gradients.dv, golden.output("dV").rows) < 1e-10)
    let tables = sampled.tableGradients(dX: dX)
    #expect(try error(tables.dq, golden.output("dQ_lower").rows) < 1e-10)
    #expect(try error(tables.dk, golden.output("dK_lower").rows) < 1e-10)
    let hybrid = try twin(.hybrid(queries: queries, keys: keys, chunk: 4))
    #expect(try error(hybrid.forward().x, golden.output("X_hybrid").rows) < 1e-10)
  }

  @Test func streamsOfTheGenerator() throws {
    for row in try #require(Self.load("rng").rows) {
      let words = try #require(row.words).compactMap(UInt64.init)
      let random = CounterRandom(seed: words[0], words[1], words[2], words[3], words[4])
      #expect(String(random.key, radix: 16) == row.key?.trimmingPrefix("0").description)
      for (index, expected) in (row.u64 ?? []).enumerated() {
        #expect(UInt64(expected, radix: 16) == random.bits(UInt64(index)))
      }
    }
  }
}
