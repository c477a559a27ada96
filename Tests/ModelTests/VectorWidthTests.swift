import Backends
import Machine
import Model
import Tensor
import TestSupport
import Testing

/// Whole models over sixteen lanes and over eight: scores and gradients have the same bits.
@Suite(.enabled(if: VectorUnits.hasAVX512)) struct VectorWidthTests {
  @Test(arguments: Variant.all, Precision.allCases)
  func scoresAndGradients(variant: Variant, precision: Precision) throws {
    let text = TinySequences(lengths: [7, 1, 30, 2, 65, 12, 140], vocabulary: 61, seed: 7)
    let results = try [VectorUnits.avx2, .avx512].map { units in
      let kernels = Backend.kernels(of: units, precision)
      let model = try Transformer(
        variant.config, parameters: variant.weights(on: kernels, seed: 3), kernels: kernels)
      let scores = try model.nllNats(ids: text.ids, targets: text.targets, starts: text.starts)
      let gradients = try model.makeGradients()
      _ = try model.accumulateGradients(
        ids: text.ids, targets: text.targets, starts: text.starts, gradientScale: 0.01,
        dropout: nil, draw: .training(seed: 5, step: 3), into: gradients)
      return (scores, try gradients.numbers())
    }
    #expect(results[0].0.map(\.bitPattern) == results[1].0.map(\.bitPattern))
    #expect(results[0].1.map(\.bitPattern) == results[1].1.map(\.bitPattern))
  }
}
