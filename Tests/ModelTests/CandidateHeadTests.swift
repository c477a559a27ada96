import Deterministic
import Model
import Tensor
import TestSupport
import Testing

/// Sampled softmax: the loss of training over some rows of the head.
@Suite(.serialized) struct CandidateHeadTests {
  private static let text = TinySequences(lengths: [5, 1, 19, 34], vocabulary: 61, seed: 5)
  /// A head of its own, and one that is the embedding.
  private static let variants = [1, 2].map {
    Variant.make("softmax of \($0)", .softmax, .rotary, layers: $0)
  }
  /// The text's own targets and some others.
  private static let some = Array(Set(text.targets + [3, 7, 50, 60])).sorted()

  private static func gradient(
    _ model: Transformer, candidates: [Int32]?, starts: [Int] = text.starts,
    rows: Range<Int> = 0..<text.ids.count, into sums: Parameters? = nil
  ) throws -> (nats: Double, gradients: Parameters) {
    let gradients = try sums ?? model.makeGradients()
    var head: CandidateHead?
    if let candidates {
      let made = try CandidateHead(
        model.config, capacity: candidates.count + 3, on: model.kernels)
      // Another step before it: nothing of that may stay.
      try made.gather([1, 2, 5], from: model.parameters)
      try made.gather(candidates, from: model.parameters)
      head = made
    }
    let nats = try model.accumulateGradients(
      ids: Array(text.ids[rows]), targets: Array(text.targets[rows]), starts: starts,
      gradientScale: 1 / Float(text.ids.count), dropout: nil, candidates: head, into: gradients)
    return (nats, gradients)
  }

  @Test(arguments: TestBackend.ofTheProgram, variants)
  func gradientIsTheSlope(backend: TestBackend, variant: Variant) throws {
    let model = try variant.model(on: backend)
    let gradients = try Self.gradient(model, candidates: Self.some).gradients
    func loss() throws -> Double {
      try Self.gradient(model, candidates: Self.some).nats / Double(Self.text.ids.count)
    }
    for (index, slot) in model.parameters.layout.slots.enumerated() {
      let weights = model.parameters.view(slot)
      let direction = CounterRandom(seed: 9, UInt64(index)).gaussians(0..<slot.count, deviation: 1)
      let start = try model.kernels.numbers(of: weights)
      let gradient = try model.kernels.numbers(of: gradients.view(slot))
      let slope = zip(gradient, direction).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
      func moved(_ factor: Float) throws -> Double {
        try model.kernels.write(zip(start, direction).map { $0 + factor * $1 }, to: weights)
        return try loss()
      }
      let step: Float = 2e-3
      let wide = (try moved(2 * step) - (try moved(-2 * step))) / Double(4 * step)
      let narrow = (try moved(step) - (try moved(-step))) / Double(2 * step)
      let central = (4 * narrow - wide) / 3
      try model.kernels.write(start, to: weights)
      #expect(
        abs(central - slope) < 4e-3 * max(abs(slope), 0.05),
        "\(slot.name): \(slope) against \(central)")
    }
  }

  /// Over all tokens it is the loss as ever, and over some of them it is less.
  @Test(arguments: TestBackend.ofTheProgram, variants)
  func allTokensAreTheWholeHead(backend: TestBackend, variant: Variant) throws {
    let model = try variant.model(on: backend)
    let whole = try Self.gradient(model, candidates: nil)
    let sampled = try Self.gradient(model, candidates: Array(0..<61))
    #expect(abs(sampled.nats - whole.nats) <= 1e-6 * whole.nats)
    let pairs = zip(try sampled.gradients.numbers(), try whole.gradients.numbers())
    let largest = try whole.gradients.numbers().map(abs).max() ?? 0
    #expect(pairs.allSatisfy { abs($0 - $1) <= 1e-5 * largest })
    #expect(try Self.gradient(model, candidates: Self.some).nats < whole.nats - 1)
  }

  @Test(arguments: TestBackend.ofTheProgram)
  func otherRowsGetNoGradient(backend: TestBackend) throws {
    let model = try Self.variants[0].model(on: backend)
    let gradients = try Self.gradient(model, candidates: Self.some).gradients
    let width = model.config.width
    let numbers = try model.kernels.numbers(of: gradients.head)
    for id in 0..<61 {
      let row = numbers[id * width..<(id + 1) * width]
      #expect(row.contains { $0 != 0 } == Self.some.contains(Int32(id)), "\(id)")
    }
  }

  @Test(arguments: TestBackend.ofTheProgram, variants)
  func microBatchesAddUp(backend: TestBackend, variant: Variant) throws {
    let model = try variant.model(on: backend)
    let whole = try Self.gradient(model, candidates: Self.some)
    let first = try Self.gradient(
      model, candidates: Self.some, starts: [0, 5, 6], rows: 0..<6)
    let both = try Self.gradient(
      model, candidates: Self.some, starts: [0, 19, 53], rows: 6..<59, into: first.gradients)
    #expect(abs(first.nats + both.nats - whole.nats) <= 1e-6 * whole.nats)
    let largest = try whole.gradients.numbers().map(abs).max() ?? 0
    #expect(
      zip(try both.gradients.numbers(), try whole.gradients.numbers()).allSatisfy {
        abs($0 - $1) <= 1e-5 * largest
      })
  }

  @Test(arguments: TestBackend.allCases.filter { $0 != .oracle }, variants)
  func gradientIsThatOfTheOracle(backend: TestBackend, variant: Variant) throws {
    let results = try [backend, .oracle].map { backend in
      let (nats, gradients) = try Self.gradient(
        try variant.model(on: backend), candidates: Self.some)
      return (nats, try gradients.numbers())
    }
    let bound = backend == .bfloat16 ? 0.05 : 1e-4
    #expect(abs(results[0].0 - results[1].0) <= bound * results[1].0)
    let error = zip(results[0].1, results[1].1).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    let size = results[1].1.reduce(0) { $0 + $1 * $1 }
    #expect((error / size).squareRoot() <= Float(bound))
  }
}
