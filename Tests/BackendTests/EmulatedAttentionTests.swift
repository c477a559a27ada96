import DeviceCheck
import GPUBackend
import Tensor
import TestSupport
import Testing

/// What only a card's kernels have to show: that no order of threads and no length beyond their chunks
/// and tables changes anything, and what they borrow.
@Suite struct EmulatedAttentionTests {
  /// A kernel without a race has the same bits in any order of a block's threads.
  @Test(arguments: AttentionSubject.all)
  func ordersOfThreadsAreTheSame(subject: AttentionSubject) throws {
    let size = AttentionSize([43, 2], keys: 40, values: 40)
    var first: [[Float]]?
    for order in EmulatedDriver.Order.allCases {
      let kernels = GPUKernels(EmulatedDriver(order: order))
      guard let staged = try AttentionStage(kernels, subject, size) else { return }
      staged.forward()
      staged.backward()
      let results = try staged.results.map { try staged.stage.numbers($0.view) }
      let expected = first ?? results
      for (a, b) in zip(results, expected) { #expect(haveSameBits(a, b), "\(order)") }
      first = expected
    }
  }

  /// An attention that rotates queries and keys itself, by tiles of short and of long sequences or for
  /// heads of any width, has the bits of a rotation before it and one behind it.
  @Test(arguments: [24, 32, 48, 64], [Precision.float32, .bfloat16])
  func rotatingInAPassIsRotatingBeforeIt(width: Int, precision: Precision) throws {
    let kernels = GPUKernels(EmulatedDriver(), precision: precision)
    let (stage, columns) = (Stage(kernels), 2 * width)
    let sequences = try Sequences([0, 70, 73, 173, 189], on: kernels)
    let hierarchical = HierarchicalShape(heads: 2, scale: 0.3, blockSize: 16, fineQuery: false)
    let operators = [
      try kernels.softmaxAttention(SoftmaxShape(heads: 2, scale: 0.3)),
      try kernels.hierarchicalAttention(hierarchical),
    ]
    for attention in operators {
      func results(theta: Double?) throws -> [[Float]] {
        let qkv = try stage.random(189, 3 * columns, seed: 1)
        let dqkv = try stage.zeros(189, 3 * columns)
        let (o, saved) = (
          try stage.zeros(189, columns), try stage.zeros(2, 189, for: .master)
        )
        func part(_ view: View, _ index: Int) -> View {
          view.columns(index * columns..<(index + 1) * columns)
        }
        func rotate(_ view: View, inverse: Bool) {
          guard theta == nil else { return }
          kernels.rotary(
            x: view.columns(0..<2 * columns), positions: sequences.positions, headWidth: width,
            theta: 100, inverse: inverse)
        }
        let tensors = AttentionTensors(
          q: part(qkv, 0), k: part(qkv, 1), v: part(qkv, 2), o: o, saved: saved,
          rotaryTheta: theta)
        let pass = AttentionPass(sequences, layer: 0, draw: .evaluation(seed: 0))
        rotate(qkv, inverse: false)
        attention.forward(tensors, pass)
        attention.backward(
          tensors,
          AttentionGradients(
            dO: try stage.random(189, columns, seed: 2), dq: part(dqkv, 0), dk: part(dqkv, 1),
            dv: part(dqkv, 2)), pass)
        rotate(dqkv, inverse: true)
        return try [qkv, o, saved, dqkv].map(stage.numbers)
      }
      #expect(attention.rotates)
      for (a, b) in zip(try results(theta: 100), try results(theta: nil)) {
        #expect(haveSameBits(a, b))
      }
    }
  }

  private static let long: [(AttentionSubject, AttentionSize)] = [
    (.init(kind: .combiner(.fixed, 16, .max, .wsum)), .init([257], keys: 40, values: 72)),
    (.init(kind: .combiner(.rowmajor, 16, .max, .wsum)), .init([64, 257], keys: 8, values: 8)),
    (.init(kind: .combiner(.logsparse, 1, .mean, .wsum)), .init([257, 700], keys: 8, values: 8)),
    (.init(kind: .combiner(.vertical, 16, .max, .wsum)), .init([257], keys: 8, values: 8)),
    (.init(kind: .combiner(.mixture, 40, .mean, .wsum)), .init([257], keys: 40, values: 72)),
    (
      .init(kind: .yoso(.expectation, bits: 8, hashes: 1, slope: .lower)),
      .init([257], keys: 32, values: 72)
    ),
    (
      .init(kind: .yoso(.sampled, bits: 5, hashes: 16, slope: .lower)),
      .init([700, 100], keys: 32, values: 72)
    ),
    (
      .init(kind: .yoso(.hybrid, bits: 6, hashes: 8, slope: .lower)),
      .init([100, 257], keys: 16, values: 16)
    ),
  ]

  @Test(arguments: long)
  func longSequencesAgree(subject: AttentionSubject, size: AttentionSize) throws {
    for backend in [TestBackend.emulator, .bfloat16] {
      let promised = try backend.makeKernels().promises.relativeError
      func numbers(_ backend: TestBackend) throws -> [(name: String, numbers: [Float])] {
        guard let staged = try AttentionStage(backend.makeKernels(), subject, size) else {
          return []
        }
        staged.forward()
        staged.backward()
        return try staged.results.map { ($0.name, try staged.stage.numbers($0.view)) }
      }
      for (a, b) in zip(try numbers(backend), try numbers(.oracle)) {
        let error = relativeError(a.numbers, b.numbers, size: 1)
        #expect(
          error <= max(promised, subject.relativeError ?? 0), "\(backend) \(a.name): \(error)")
      }
    }
  }

  /// A stream keeps the bits of the pass where the pass takes another way than short ones do.
  @Test func tablesAreWhatALongPassScans() throws {
    let size = AttentionSize([70], keys: 8, values: 8)
    for estimate in [YosoShape.Estimate.sampled, .hybrid] {
      let subject = AttentionSubject(kind: .yoso(estimate, bits: 3, hashes: 5, slope: .lower))
      let kernels = try TestBackend.emulator.makeKernels()
      let staged = try #require(try AttentionStage(kernels, subject, size))
      staged.forward()
      let all = try staged.copy(rows: 0..<70)
      staged.attention.step(all, [try staged.makeState()])
      let rows = try (staged.stage.numbers(all.o), staged.stage.numbers(staged.tensors.o))
      #expect(haveSameBits(rows.0, rows.1))
    }
  }

  /// Memory is counted without a launch, for every pass alike.
  @Test(arguments: AttentionSubject.all) func needsAreCounted(subject: AttentionSubject) throws {
    let size = AttentionSize([64], keys: 8, values: 8)
    guard let staged = try AttentionStage(TestBackend.emulator.makeKernels(), subject, size) else {
      return
    }
    let before = try staged.stage.numbers(staged.tensors.o)
    let need = staged.stage.kernels.workingNeed {
      staged.forward()
      staged.backward()
    }
    #expect(need.task == 0 && need.shared > 0)
    #expect(try staged.stage.numbers(staged.tensors.o) == before)
  }
}
