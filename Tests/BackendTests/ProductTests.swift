import Tensor
import TestSupport
import Testing

/// Matrix products and the head: every back end against the oracle.
@Suite struct ProductTests {
  /// Rows, inputs, outputs and padding.
  struct Size: Sendable {
    let rows: Int
    let inputs: Int
    let outputs: Int
    var padding = 0

    static let all = [
      Size(rows: 1, inputs: 1, outputs: 1), Size(rows: 3, inputs: 5, outputs: 7),
      Size(rows: 5, inputs: 8, outputs: 16, padding: 3), Size(rows: 25, inputs: 33, outputs: 65),
      Size(rows: 100, inputs: 17, outputs: 130, padding: 7),
      Size(rows: 207, inputs: 140, outputs: 97),
      // Sums of several blocks.
      Size(rows: 30, inputs: 1_100, outputs: 70),
    ]
  }

  @Test(arguments: others, Size.all) func linear(backend: TestBackend, size: Size) throws {
    for accumulate in [false, true] { try linear(backend, size, accumulate: accumulate) }
  }

  private func linear(_ backend: TestBackend, _ size: Size, accumulate: Bool) throws {
    let (rows, inputs, outputs, padding) = (size.rows, size.inputs, size.outputs, size.padding)
    try expectAgreement(backend) { stage in
      let x = try stage.random(rows, inputs, seed: 1, padding: padding)
      let w = try stage.random(outputs, inputs, seed: 2, padding: padding)
      let dy = try stage.random(rows, outputs, seed: 3, padding: padding)
      let y = try stage.random(rows, outputs, seed: 4, padding: padding)
      let dx = try stage.random(rows, inputs, seed: 5, padding: padding)
      let dw = try stage.random(outputs, inputs, seed: 6, padding: padding, for: .master)
      stage.kernels.linearForward(y: y, x: x, w: w, accumulate: accumulate)
      stage.kernels.linearBackwardInput(dx: dx, dy: dy, w: w, accumulate: accumulate)
      stage.kernels.linearBackwardWeight(dw: dw, dy: dy, x: x)
      return [("y", y), ("dx", dx), ("dw", dw)]
    }
  }

  /// Products that write and read the heads of an attention.
  @Test(arguments: others, [3, 8, 20]) func heads(backend: TestBackend, headWidth: Int) throws {
    let width = 3 * headWidth
    try expectAgreement(backend) { stage in
      func heads(_ seed: UInt64) throws -> View {
        try stage.randomHeads(50, width, headWidth: headWidth, seed: seed)
      }
      let w = try stage.random(width, width, seed: 1)
      let (plain, y) = (try stage.random(50, width, seed: 2), try heads(3))
      stage.kernels.linearForward(y: y, x: plain, w: w, accumulate: false)
      let (dy, dx) = (try heads(4), try heads(5))
      stage.kernels.linearBackwardInput(dx: dx, dy: plain, w: w, accumulate: false)
      let dPlain = try stage.random(50, width, seed: 6)
      stage.kernels.linearBackwardInput(dx: dPlain, dy: dy, w: w, accumulate: true)
      let (dwOut, dwIn) = (
        try stage.zeros(width, width, for: .master), try stage.zeros(width, width, for: .master)
      )
      stage.kernels.linearBackwardWeight(dw: dwOut, dy: dy, x: plain)
      stage.kernels.linearBackwardWeight(dw: dwIn, dy: plain, x: y)
      return [("y", y), ("dx", dx), ("dPlain", dPlain), ("dw, dy", dwOut), ("dw, x", dwIn)]
    }
  }

  @Test(arguments: others, Size.all) func crossEntropy(backend: TestBackend, size: Size) throws {
    let (rows, width, vocabulary) = (size.rows, min(size.inputs, 150), size.outputs)
    // Logits up to 8 are rounded to eight bits on their way to a loss of about 4.
    let relative = backend == .bfloat16 ? 2e-2 : nil
    try expectAgreement(backend, relative: relative) { stage in
      let hidden = try stage.random(rows, width, seed: 1, padding: size.padding)
      let w = try stage.random(vocabulary, width, seed: 2, deviation: 0.3, padding: size.padding)
      let targets = try stage.kernels.place(randomIds(rows, below: vocabulary, seed: 3))
      let alone = try stage.filled(1, rows, with: 9, for: .master)
      stage.kernels.crossEntropyForward(nllNats: alone, hidden: hidden, w: w, targets: targets)
      let nll = try stage.filled(1, rows, with: 9, for: .master)
      let dHidden = try stage.filled(rows, width, with: 9, padding: size.padding)
      let dw = try stage.random(vocabulary, width, seed: 4, for: .master)
      stage.kernels.crossEntropyForwardBackward(
        nllNats: nll, dHidden: dHidden, dw: dw, hidden: hidden, w: w, targets: targets,
        gradientScale: 0.25)
      return [("alone", alone), ("nll", nll), ("dHidden", dHidden), ("dw", dw)]
    }
  }
}
