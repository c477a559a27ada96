import Deterministic
import Host
import Tensor
import TestSupport
import Testing

/// Gradients against differences of the kernel's own output, and their accumulation.
@Suite struct AttentionGradientTests {
  static let unpooled: [AttentionVariant] = [
    .softmax(distances: nil), .softmax(distances: 9),
    .hierarchical(blockSize: 4, fineQuery: false), .hierarchical(blockSize: 4, fineQuery: true),
    .hierarchical(blockSize: 16, fineQuery: false), .hierarchical(blockSize: 16, fineQuery: true),
  ]
  static let variants = unpooled + AttentionVariant.combiners

  /// `Σ dO · o` in Double.
  private func projection(_ variant: AttentionVariant, _ problem: AttentionCase) -> Double {
    let result = AttentionResult(problem)
    variant.forward(problem, result)
    return zip(result.o.elements, problem.dO.elements).reduce(0) {
      $0 + Double($1.0) * Double($1.1)
    }
  }

  @Test(arguments: unpooled + AttentionVariant.smoothCombiners)
  func centralDifferencesAlongRandomDirections(variant: AttentionVariant) {
    let problem = variant.problem(lengths: [71, 13], heads: 2, keyWidth: 9, valueWidth: 8)
    let result = variant.run(problem)
    var pairs = [(problem.q, result.dq), (problem.k, result.dk), (problem.v, result.dv)]
    if let bias = problem.bias, let dBias = result.dBias { pairs.append((bias, dBias)) }
    for (number, (input, gradient)) in pairs.enumerated() {
      for seed in 0..<4 {
        let random = CounterRandom(seed: 5, UInt64(number), UInt64(seed))
        let direction = (0..<input.count).map { Float(random.gaussian(UInt64($0))) }
        let start = input.elements
        let step = 2e-3
        func value(_ factor: Double) -> Double {
          for row in 0..<input.rows {
            for column in 0..<input.columns {
              let index = row * input.columns + column
              input[row, column] = start[index] + Float(factor) * direction[index]
            }
          }
          return projection(variant, problem)
        }
        // Five points: the error of order h^4 stays below the rounding of the forward pass.
        let slope =
          (8 * (value(step) - value(-step)) - (value(2 * step) - value(-2 * step))) / (12 * step)
        _ = value(0)
        let expected = zip(gradient.elements, direction).reduce(0) {
          $0 + Double($1.0) * Double($1.1)
        }
        let size = gradient.elements.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
        #expect(abs(slope - expected) < 2e-3 * (1 + size), "input \(number)")
      }
    }
  }

  @Test(arguments: variants)
  func biasGradientAccumulatesAndTheOthersOverwrite(variant: AttentionVariant) {
    let problem = variant.problem(lengths: [50, 33], heads: 2, keyWidth: 8, valueWidth: 8)
    let result = variant.run(problem)
    let once = result.all
    variant.backward(problem, result)
    let twice = result.all
    #expect(Array(once[0..<5]) == Array(twice[0..<5]))
    #expect(twice[5] == once[5].map { 2 * $0 })
    // The prefill of the outputs is gone everywhere.
    #expect(!once[2...4].joined().contains(9))
  }

  @Test(arguments: variants, [1e4, -1e4])
  func hugeLogitsStayFinite(variant: AttentionVariant, gain: Double) {
    let problem = variant.problem(
      lengths: [130, 40], heads: 1, keyWidth: 8, valueWidth: 8, gain: gain)
    let everything = variant.run(problem).all.joined()
    #expect(everything.count { !$0.isFinite } == 0)
  }

  @Test(arguments: [false, true])
  func overwhelmingFarTokenWinsTheSoftmax(fineQuery: Bool) {
    // Token 0 meets later ones at coarse levels; its group must win by its logit alone.
    let variant = AttentionVariant.hierarchical(blockSize: 2, fineQuery: fineQuery)
    let problem = variant.problem(lengths: [64], heads: 1, keyWidth: 8, valueWidth: 8)
    problem.q.fill(1)
    problem.k.fill(-1000)
    problem.bias?.fill(0)
    for row in 0..<32 { problem.k.rows(row..<row + 1).fill(1000) }
    let result = variant.run(problem)
    for column in 0..<8 {
      let mean = (0..<32).reduce(0.0) { $0 + Double(problem.v[$1, column]) } / 32
      #expect(abs(Double(result.o[63, column]) - mean) < 1e-5)
    }
  }
}
