import Model
import Tensor
import TestSupport
import Testing

/// Micro-batches add up to the whole batch, whatever the attention.
@Suite(.serialized) struct AccumulationTests {
  @Test(arguments: TestBackend.ofTheProgram, Variant.all)
  func microBatchesAddUpToTheBatch(backend: TestBackend, variant: Variant) throws {
    let model = try variant.model(on: backend)
    let text = TinySequences(lengths: [7, 1, 30, 2, 65, 12], vocabulary: 61, seed: 7)
    let whole = try Self.gradient(model, text, [0..<6])
    for parts in [[0..<1, 1..<6], [0..<3, 3..<4, 4..<6], (0..<6).map { $0..<$0 + 1 }] {
      let sum = try Self.gradient(model, text, parts)
      #expect(abs(sum.nats - whole.nats) <= 1e-9 * whole.nats)
      for (slot, (a, b)) in zip(
        model.parameters.layout.slots, zip(whole.gradients, sum.gradients))
      {
        // The error of the sum against the size of the gradient, both as Euclidean norms.
        var (difference, size) = (0.0, 0.0)
        for (x, y) in zip(a, b) {
          difference += Double(x - y) * Double(x - y)
          size += Double(x) * Double(x)
        }
        #expect(
          difference.squareRoot() <= 1e-6 * size.squareRoot(),
          "\(slot.name) in \(parts.count) parts: \((difference / size).squareRoot())")
      }
    }
  }

  private static func gradient(
    _ model: Transformer, _ text: TinySequences, _ parts: [Range<Int>]
  ) throws -> (nats: Double, gradients: [[Float]]) {
    let gradients = try model.makeGradients()
    var nats = 0.0
    for part in parts {
      let rows = text.starts[part.lowerBound]..<text.starts[part.upperBound]
      nats += try model.accumulateGradients(
        ids: Array(text.ids[rows]), targets: Array(text.targets[rows]),
        starts: text.starts[part.lowerBound...part.upperBound].map { $0 - rows.lowerBound },
        gradientScale: 1 / Float(text.ids.count), dropout: nil,
        draw: .training(seed: 5, step: 3), into: gradients)
    }
    return (
      nats, try gradients.layout.slots.map { try model.kernels.numbers(of: gradients.view($0)) }
    )
  }

  /// Nats of a text, added as evaluation adds them, are the same bits at any batch size.
  @Test(arguments: TestBackend.ofTheProgram, Variant.all)
  func scoringIsTheSameAtAnyBatchSize(backend: TestBackend, variant: Variant) throws {
    let model = try variant.model(on: backend)
    let text = TinySequences(lengths: [7, 1, 30, 2, 65, 12, 4, 19], vocabulary: 61, seed: 9)
    let whole = try model.nllNats(ids: text.ids, targets: text.targets, starts: text.starts)
    for size in [1, 2, 3, 5] {
      var scores: [Float] = []
      for first in stride(from: 0, to: 8, by: size) {
        let last = min(8, first + size)
        let rows = text.starts[first]..<text.starts[last]
        scores += try model.nllNats(
          ids: Array(text.ids[rows]), targets: Array(text.targets[rows]),
          starts: text.starts[first...last].map { $0 - rows.lowerBound })
      }
      try backend.expectAlike(scores, whole, "\(size) sequences a batch")
    }
  }
}
