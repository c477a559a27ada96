import Deterministic
import Eval
import Host
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
    _ config: ModelConfig, on backend: TestBackend = .cpu, leak: LeakyAttention.Leak? = nil
  ) throws -> AuditReport {
    let kernels = try backend.makeKernels()
    let parameters = try Variant(testDescription: "audited", config: config).weights(
      on: kernels, seed: 3)
    let model = try Transformer(config, parameters: parameters, kernels: kernels) { honest in
      leak.map { LeakyAttention(honest, leak: $0, on: kernels) } ?? honest
    }
    return try Auditor(model, sequences: sequences(), positions: 512).run()
  }

  @Test(arguments: [TestBackend.cpu], Variant.all)
  func honestModelsPass(backend: TestBackend, variant: Variant) throws {
    let report = try Self.audit(variant.config, on: backend)
    for check in report.checks {
      #expect(check.passed, "\(check.name): \(check.firstFailure ?? "nothing tried")")
    }
    #expect(report.passed)
    #expect(report.sequences == 5)
    #expect(report.checks.map(\.comparisons).min() ?? 0 >= 60)
  }

  /// Every attention there is, with its defaults, whether or not it is among the variants.
  @Test(arguments: TestBackend.ofTheProgram, AttentionKind.allCases)
  func everyAttentionPasses(backend: TestBackend, kind: AttentionKind) throws {
    var config = Variant.all[0].config
    config.use(try AttentionConfig(parsing: kind.rawValue))
    let report = try Self.audit(config, on: backend)
    for check in report.checks {
      #expect(check.passed, "\(check.name): \(check.firstFailure ?? "nothing tried")")
    }
  }

  @Test(arguments: Variant.all)
  func queriesAveragedOverTheirBlockAreCaught(variant: Variant) throws {
    let config = variant.config
    let report = try Self.audit(config, leak: .blockAverage)
    #expect(!report.passed)
    for name in ["one later token", "all later tokens", "some later tokens", "no later tokens"] {
      let check = report.checks.first { $0.name == name }
      #expect(check?.passed == false, "\(name)")
      #expect(check?.firstFailure?.contains("with another future") == true)
    }
  }

  /// A leak of one value from far ahead is enough.
  @Test(arguments: TestBackend.ofTheProgram) func oneValueFromTheEndIsCaught(backend: TestBackend)
    throws
  {
    let config = Variant.all[0].config
    let report = try Self.audit(config, on: backend, leak: .lastValue)
    #expect(report.checks.first { $0.name == "all later tokens" }?.passed == false)
    #expect(!report.passed)
  }

  @Test(arguments: TestBackend.ofTheProgram) func whatDependsOnTheBatchIsCaught(
    backend: TestBackend
  )
    throws
  {
    let config = Variant.all[0].config
    let report = try Self.audit(config, on: backend, leak: .company)
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

  @Test(arguments: TestBackend.ofTheProgram)
  func weightsThatAreNoNumbersAreCaught(backend: TestBackend) throws {
    let model = try Variant.all[0].model(on: backend)
    model.kernels.fill(model.parameters.finalNorm, with: .nan)
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
  private let kernels: any Kernels
  private let calls = Calls()

  private final class Calls: Sendable {
    let count = Atomic<Int>(0)
  }

  init(_ honest: any AttentionOperator, leak: Leak, on kernels: any Kernels) {
    self.honest = honest
    self.leak = leak
    self.kernels = kernels
  }

  func forward(_ t: AttentionTensors, _ pass: AttentionPass) {
    let call = calls.count.wrappingAdd(1, ordering: .relaxed).oldValue
    do {
      let (q, v) = (try Rows(t.q, on: kernels), try Rows(t.v, on: kernels))
      let starts = pass.sequences.starts
      for (start, end) in zip(starts, starts.dropFirst()) where start < end {
        for column in 0..<t.q.columns {
          disturb(q, v, start..<end, column, call: call)
        }
      }
      honest.forward(
        AttentionTensors(
          q: try q.changed(), k: t.k, v: try v.changed(), bias: t.bias, o: t.o, saved: t.saved,
          input: t.input, own: t.own),
        pass)
    } catch {
      preconditionFailure("\(error)")
    }
  }

  private func disturb(_ q: Rows, _ v: Rows, _ rows: Range<Int>, _ column: Int, call: Int) {
    let start = rows.lowerBound
    switch leak {
    case .blockAverage:
      for block in stride(from: start, to: rows.upperBound, by: 4) {
        let block = block..<min(rows.upperBound, block + 4)
        let mean = block.reduce(Float(0)) { $0 + q.old[$1, column] } / Float(block.count)
        for row in block { q.new[row, column] = mean }
      }
    case .lastValue:
      v.new[start, column] += 1e-3 * v.old[rows.upperBound - 1, column]
    case .company:
      v.new[start, column] += 1e-3 * v.old[0, column] * Float(start)
    case .decoding:
      v.new[start, column] *= 1.001
    case .threads:
      v.new[start, column] *= 1 + 1e-3 * Float(Parallel.threads)
    case .anew:
      v.new[start, column] *= 1 + 0.1 * Float(call)
    }
  }

  /// A matrix before and after it was disturbed, on the host.
  private final class Rows {
    struct Numbers {
      let columns: Int
      var all: [Float]

      subscript(row: Int, column: Int) -> Float {
        get { all[row * columns + column] }
        set { all[row * columns + column] = newValue }
      }
    }

    let old: Numbers
    var new: Numbers
    private let view: View
    private let kernels: any Kernels

    init(_ view: View, on kernels: any Kernels) throws {
      old = Numbers(columns: view.columns, all: try kernels.numbers(of: view))
      new = old
      self.view = view
      self.kernels = kernels
    }

    /// The disturbed matrix, on the device.
    func changed() throws -> View {
      let changed = try kernels.makeView(rows: view.rows, columns: view.columns)
      try kernels.write(new.all, to: changed)
      return changed
    }
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
