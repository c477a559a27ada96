import Backends
import Deterministic
import Eval
import Model
import Synchronization
import Tensor
import TestSupport
import Testing

/// The audit passes honest models of every attention and catches dishonest ones.
@Suite(.serialized) struct AuditTests {
  private static func sequences() -> [AuditSequence] {
    let text = TinySequences(lengths: [9, 1, 17, 40], vocabulary: 61, seed: 5)
    let sentences = (0..<4).map { index in
      AuditSequence(
        ids: text.sequence(index).ids, targets: text.sequence(index).targets,
        place: "sentence \(index + 1)")
    }
    return sentences + [AuditSequence(joining: sentences, length: 66, place: "running text")]
  }

  private static func audit(
    _ config: ModelConfig, on backend: Backend = .cpu, leak: LeakyAttention.Leak? = nil
  ) throws -> AuditReport {
    let kernels = try backend.makeKernels()
    let parameters = try Parameters(config, on: kernels)
    try parameters.initialize(seed: 3)
    let model = try Transformer(config, parameters: parameters, kernels: kernels) { honest in
      leak.map { LeakyAttention(honest, leak: $0) } ?? honest
    }
    return try Auditor(model, sequences: sequences(), positions: 512).run()
  }

  @Test(arguments: Variant.all) func honestModelsPass(variant: Variant) throws {
    let report = try Self.audit(variant.config)
    for check in report.checks {
      #expect(check.passed, "\(check.name): \(check.firstFailure ?? "nothing tried")")
    }
    #expect(report.passed)
    #expect(report.sequences == 5)
    #expect(report.checks.map(\.comparisons).min() ?? 0 >= 60)
  }

  /// Every attention there is, with its defaults, whether or not it is among the variants.
  @Test(arguments: AttentionKind.allCases) func everyAttentionPasses(kind: AttentionKind) throws {
    var config = Variant.all[0].config
    config.use(try AttentionConfig(parsing: kind.rawValue))
    let report = try Self.audit(config)
    for check in report.checks {
      #expect(check.passed, "\(check.name): \(check.firstFailure ?? "nothing tried")")
    }
  }

  @Test(arguments: Variant.all)
  func queriesAveragedOverTheirBlockAreCaught(variant: Variant) throws {
    let config = variant.config
    let report = try Self.audit(config, leak: .blockAverage)
    #expect(!report.passed)
    for name in ["one later piece", "all later pieces", "some later pieces", "no later pieces"] {
      let check = report.checks.first { $0.name == name }
      #expect(check?.passed == false, "\(name)")
      #expect(check?.firstFailure?.contains("with another future") == true)
    }
  }

  /// A leak of one value from far ahead is enough.
  @Test func oneValueFromTheEndIsCaught() throws {
    let config = Variant.all[0].config
    let report = try Self.audit(config, leak: .lastValue)
    #expect(report.checks.first { $0.name == "all later pieces" }?.passed == false)
    #expect(!report.passed)
  }

  @Test func whatDependsOnTheBatchIsCaught() throws {
    let config = Variant.all[0].config
    let report = try Self.audit(config, leak: .company)
    #expect(report.checks.first { $0.name == "batches" }?.passed == false)
    #expect(!report.passed)
  }

  /// Every other check fails on a fault of its kind, and on a fault of its kind alone.
  @Test(arguments: [
    (LeakyAttention.Leak.decoding, ["decoding"]), (.threads, ["threads"]),
    (.anew, ["batches", "sums", "threads"]),
  ]) fileprivate func whatElseIsWrongIsCaught(
    leak: LeakyAttention.Leak, names: [String]
  ) throws {
    let config = Variant.all[0].config
    let report = try withThreads(2) {
      try Self.audit(config, leak: leak)
    }
    #expect(!report.passed)
    let failed = Set(report.checks.filter { !$0.passed }.map(\.name))
    // Decoding is compared with a full pass, which the other faults disturb as well.
    #expect(failed.isSuperset(of: names), "\(failed)")
    if leak == .decoding { #expect(failed == ["decoding"], "\(failed)") }
    if leak == .threads { #expect(failed.isSubset(of: ["decoding", "threads"]), "\(failed)") }
  }

  @Test func weightsThatAreNoNumbersAreCaught() throws {
    let config = Variant.all[0].config
    let parameters = try Parameters(config)
    try parameters.initialize(seed: 3)
    parameters.finalNorm.fill(.nan)
    let model = try Transformer(config, parameters: parameters)
    let report = try Auditor(model, sequences: Self.sequences(), positions: 512).run()
    #expect(report.checks.first { $0.name == "numbers" }?.passed == false)
    #expect(report.checks.first { $0.name == "sums" }?.passed == false)
  }
}

/// Softmax attention that sees what it must not.
private struct LeakyAttention: AttentionOperator {
  enum Leak {
    case blockAverage, lastValue, company
    /// Causal, but its cache does something else.
    case decoding
    case threads
    /// Another figure every time, as from an unseeded estimate.
    case anew
  }

  let honest: any AttentionOperator
  let leak: Leak
  private let calls = Calls()

  private final class Calls: Sendable {
    let count = Atomic<Int>(0)
  }

  init(_ honest: any AttentionOperator, leak: Leak) {
    self.honest = honest
    self.leak = leak
  }

  func forward(_ t: AttentionTensors, _ pass: AttentionPass) {
    let starts = pass.sequences.starts
    let q = View(rows: t.q.rows, columns: t.q.columns)
    q.copy(from: t.q)
    let v = View(rows: t.v.rows, columns: t.v.columns)
    v.copy(from: t.v)
    let call = calls.count.wrappingAdd(1, ordering: .relaxed).oldValue
    for (start, end) in zip(starts, starts.dropFirst()) {
      for column in 0..<q.columns {
        switch leak {
        case .blockAverage:
          for block in stride(from: start, to: end, by: 4) {
            let rows = block..<min(end, block + 4)
            let mean = rows.reduce(Float(0)) { $0 + t.q[$1, column] } / Float(rows.count)
            for row in rows { q[row, column] = mean }
          }
        case .lastValue:
          v[start, column] += 1e-3 * t.v[end - 1, column]
        case .company:
          v[start, column] += 1e-3 * t.v[0, column] * Float(start)
        case .decoding:
          v[start, column] *= 1.001
        case .threads:
          v[start, column] *= 1 + 1e-3 * Float(Parallel.threads)
        case .anew:
          v[start, column] *= 1 + 0.1 * Float(call)
        }
      }
    }
    honest.forward(
      AttentionTensors(
        q: q, k: t.k, v: v, bias: t.bias, o: t.o, saved: t.saved, input: t.input, own: t.own),
      pass)
  }

  func backward(
    _ tensors: AttentionTensors, _ gradients: AttentionGradients, _ pass: AttentionPass
  ) { preconditionFailure("an audit takes no gradient") }

  func makeState(
    _ widths: HeadWidths, layer: Int, draw: AttentionDraw
  ) throws(DeviceError) -> any AttentionState {
    try honest.makeState(widths, layer: layer, draw: draw)
  }

  func step(_ tensors: AttentionTensors, _ states: [any AttentionState]) {
    honest.step(tensors, states)
  }
}
