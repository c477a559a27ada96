import Tensor

/// Rows, inputs, outputs and padding.
struct ProductSize: Sendable, CustomStringConvertible {
  let rows: Int
  let inputs: Int
  let outputs: Int
  var padding = 0

  var description: String { "[\(rows), \(inputs)] to \(outputs), padding \(padding)" }

  static let all = [
    ProductSize(rows: 1, inputs: 1, outputs: 1), ProductSize(rows: 3, inputs: 5, outputs: 7),
    ProductSize(rows: 5, inputs: 8, outputs: 16, padding: 3),
    ProductSize(rows: 25, inputs: 33, outputs: 65),
    ProductSize(rows: 100, inputs: 17, outputs: 130, padding: 7),
    ProductSize(rows: 207, inputs: 140, outputs: 97),
    // Sums of several blocks.
    ProductSize(rows: 30, inputs: 1_100, outputs: 70),
  ]
}

/// Matrix products and the head, against the oracle.
extension DeviceCheck {
  package static let products: [DeviceCheck] =
    ProductSize.all.flatMap {
      [linear($0, accumulate: false), linear($0, accumulate: true), crossEntropy($0)]
    } + [3, 8, 20].map(heads)

  private static func linear(_ size: ProductSize, accumulate: Bool) -> DeviceCheck {
    let (rows, inputs, outputs, padding) = (size.rows, size.inputs, size.outputs, size.padding)
    return DeviceCheck("product \(size)\(accumulate ? ", added" : "")") { stage in
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
  private static func heads(_ headWidth: Int) -> DeviceCheck {
    let width = 3 * headWidth
    return DeviceCheck("products of heads of \(headWidth)") { stage in
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

  /// Where products have eight bits, logits up to 8 are rounded to those on their way to a loss of
  /// about 4.
  private static func crossEntropy(_ size: ProductSize) -> DeviceCheck {
    let (rows, width, vocabulary) = (size.rows, min(size.inputs, 150), size.outputs)
    return DeviceCheck(
      "cross-entropy \(size)", relative: { $0 > 1e-3 ? 2 * $0 : $0 }
    ) { stage in
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
