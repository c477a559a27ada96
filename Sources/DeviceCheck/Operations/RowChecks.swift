import Deterministic
import Tensor

/// Rows that are computed alone have the bits that they have among others, where that is promised.
extension DeviceCheck {
  package static let rows: [DeviceCheck] =
    [1, 7, 33, 200].flatMap { products($0) + heads($0) } + [2, 14, 32, 66].flatMap(layers)

  /// Rows of the batch that are computed again: one, a few, past the vector width.
  private static let parts = [0..<1, 6..<7, 69..<70, 3..<5, 8..<25, 1..<70]

  /// Compares all rows of `body`'s result with those of parts of its input.
  private static func rows(
    _ name: String, columns: Int,
    _ body: @escaping @Sendable (Stage, View, Range<Int>) throws -> View
  ) -> DeviceCheck {
    DeviceCheck("rows alone: \(name)") { kernels in
      guard kernels.promises.rowsAreIndependent else { return [] }
      let stage = Stage(kernels)
      let x = try stage.random(70, columns, seed: 1)
      let whole = try body(stage, try stage.copy(of: x), 0..<70)
      return try parts.map { part in
        let rows = try body(stage, try stage.copy(of: x.rows(part)), part)
        let expected = whole.rows == 1 ? whole.columns(part) : whole.rows(part)
        return Finding(
          what: "rows \(part)", sameBits: try stage.numbers(rows),
          as: try stage.numbers(expected))
      }
    }
  }

  private static func products(_ width: Int) -> [DeviceCheck] {
    [1, 8, 65].map { outputs in
      rows("product \(width) to \(outputs)", columns: width) { stage, x, _ in
        let y = try stage.filled(x.rows, outputs, with: 0.5)
        let w = try stage.random(outputs, width, seed: 2)
        stage.kernels.linearForward(y: y, x: x, w: w, accumulate: outputs == 8)
        return y
      }
    }
  }

  private static func heads(_ width: Int) -> [DeviceCheck] {
    [2, 61, 500].map { vocabulary in
      rows("cross-entropy \(width) to \(vocabulary)", columns: width) { stage, x, rows in
        let nll = try stage.zeros(1, x.rows, for: .master)
        let w = try stage.random(vocabulary, width, seed: 2, deviation: 0.2)
        let targets = randomIds(70, below: vocabulary, seed: 3)[rows]
        stage.kernels.crossEntropyForward(
          nllNats: nll, hidden: x, w: w, targets: try stage.kernels.place(Array(targets)))
        return nll
      }
    }
  }

  private static func layers(_ width: Int) -> [DeviceCheck] {
    [
      rows("RMSNorm of \(width)", columns: width) { stage, x, _ in
        let y = try stage.zeros(x.rows, width)
        let gain = try stage.random(1, width, seed: 2)
        stage.kernels.rmsNormForward(
          y: y, rstd: try stage.zeros(1, x.rows), x: x, gain: gain, epsilon: 1e-6)
        return y
      },
      rows("SwiGLU of \(width)", columns: width) { stage, x, _ in
        let y = try stage.zeros(x.rows, width / 2)
        stage.kernels.swiGLUForward(y: y, gateUp: x)
        return y
      },
      rows("positions and dropout of \(width)", columns: width) { stage, x, rows in
        let positions = try stage.kernels.place(rows.map(Int32.init))
        stage.kernels.rotary(
          x: x, positions: positions, headWidth: width, theta: 10_000, inverse: false)
        stage.kernels.addSinusoidal(x: x, positions: positions, amplitude: 0.5)
        stage.kernels.dropout(
          x: x, probability: 0.2, random: CounterRandom(seed: 1), rowOffset: rows.lowerBound)
        return x
      },
    ]
  }
}
