import Deterministic
import Tensor

/// Operations on rows, against the oracle.
extension DeviceCheck {
  package static let layers: [DeviceCheck] =
    Shape.all.flatMap {
      [embedding($0), bias($0), rmsNorm($0), sinusoidal($0), swiGLU($0), residual($0)] + dropout($0)
    }
    // Rows of other lengths go other ways.
    + [Shape(rows: 66, columns: 520), Shape(rows: 3, columns: 1_030, padding: 2)].map(rmsNorm)
    + [2, 6, 8, 34, 64].map(rotary)
    + [(1, 1, 3), (2, 3, 2), (8, 2, 4), (9, 4, 1), (64, 1, 2)].map(repeatedHeads)

  private static func embedding(_ shape: Shape) -> DeviceCheck {
    DeviceCheck("embedding \(shape)") { stage in
      let ids = try stage.kernels.place(randomIds(shape.rows, below: 11, seed: 3))
      let table = try stage.random(
        11, shape.columns, seed: 1, padding: shape.padding, for: .master)
      let y = try stage.filled(
        shape.rows, shape.columns, with: 9, padding: shape.padding, for: .master)
      stage.kernels.embeddingForward(y: y, ids: ids, table: table)
      let dTable = try stage.random(11, shape.columns, seed: 2, for: .master)
      stage.kernels.embeddingBackward(
        dTable: dTable, dy: try stage.random(shape.rows, shape.columns, seed: 4), ids: ids)
      return [("y", y), ("dTable", dTable)]
    }
  }

  private static func bias(_ shape: Shape) -> DeviceCheck {
    DeviceCheck("bias \(shape)") { stage in
      let bias = try stage.random(1, shape.columns, seed: 2, for: .master)
      let x = try stage.random(shape.rows, shape.columns, seed: 1, padding: shape.padding)
      stage.kernels.addBias(x: x, bias: bias)
      let heads = try stage.randomHeads(shape.rows, shape.columns, headWidth: 1, seed: 1)
      stage.kernels.addBias(x: heads, bias: bias)
      let dBias = try stage.random(1, shape.columns, seed: 3, for: .master)
      stage.kernels.addBiasBackward(
        dBias: dBias,
        dy: try stage.random(shape.rows, shape.columns, seed: 4, padding: shape.padding))
      let dHeads = try stage.random(1, shape.columns, seed: 5, for: .master)
      stage.kernels.addBiasBackward(
        dBias: dHeads,
        dy: try stage.randomHeads(shape.rows, shape.columns, headWidth: 1, seed: 6))
      return [("x", x), ("heads", heads), ("dBias", dBias), ("dBias of heads", dHeads)]
    }
  }

  private static func repeatedHeads(width: Int, heads: Int, group: Int) -> DeviceCheck {
    DeviceCheck("\(heads) heads of \(width) for \(group) each") { stage in
      func make(_ columns: Int, _ seed: UInt64) throws -> [View] {
        [
          try stage.random(300, columns, seed: seed, padding: 3),
          try stage.randomHeads(300, columns, headWidth: width, seed: seed),
        ]
      }
      let (narrow, wide) = (heads * width, group * heads * width)
      let (xs, ys) = (try make(narrow, 1), try make(wide, 2))
      let (dxs, dys) = (try make(narrow, 3), try make(wide, 4))
      var results: Results = []
      for (index, name) in ["rows", "heads"].enumerated() {
        stage.kernels.repeatHeads(y: ys[index], x: xs[index], headWidth: width)
        stage.kernels.repeatHeadsBackward(dx: dxs[index], dy: dys[index], headWidth: width)
        results += [("\(name) repeated", ys[index]), ("\(name) summed", dxs[index])]
      }
      return results
    }
  }

  private static func rmsNorm(_ shape: Shape) -> DeviceCheck {
    DeviceCheck("rmsNorm \(shape)") { stage in
      func random(_ seed: UInt64, for use: NumberUse = .master) throws -> View {
        try stage.random(
          shape.rows, shape.columns, seed: seed, padding: shape.padding, for: use)
      }
      let (x, gain) = (try random(1), try stage.random(1, shape.columns, seed: 2, for: .master))
      let y = try stage.filled(shape.rows, shape.columns, with: 9, padding: shape.padding)
      let rstd = try stage.zeros(1, shape.rows, for: .master)
      stage.kernels.rmsNormForward(y: y, rstd: rstd, x: x, gain: gain, epsilon: 1e-5)
      let (dx, dGain) = (try random(3), try stage.random(1, shape.columns, seed: 4, for: .master))
      stage.kernels.rmsNormBackward(
        dx: dx, dGain: dGain, dy: try random(5, for: .compute), x: x, gain: gain, rstd: rstd)
      let (first, dGainOfFirst) = (
        try random(6, for: .compute), try stage.random(1, shape.columns, seed: 7, for: .master)
      )
      let joined = try random(8, for: .compute)
      // The gradient of one column is a difference of equals, of which no digit is right.
      for (dx, isFirst) in [(first, shape.columns > 1), (joined, false)] {
        let dy = try random(9, for: .compute)
        if let kernels = stage.kernels as? any TwoTypeKernels {
          kernels.rmsNormBackward(
            dx: dx, dGain: dGainOfFirst, dy: dy, y: y, gain: gain, rstd: rstd, accumulate: !isFirst)
        } else {
          if isFirst { stage.kernels.fill(dx, with: 0) }
          stage.kernels.rmsNormBackward(
            dx: dx, dGain: dGainOfFirst, dy: dy, x: x, gain: gain, rstd: rstd)
        }
      }
      return [
        ("y", y), ("rstd", rstd), ("dx", dx), ("dGain", dGain), ("first dx from y", first),
        ("dx from y", joined), ("dGain from y", dGainOfFirst),
      ]
    }
  }

  private static func rotary(_ headWidth: Int) -> DeviceCheck {
    DeviceCheck("rotary, heads of \(headWidth)") { stage in
      let positions = (0..<300).map { Int32($0 * 7 % 301) }
      let plain = try stage.random(300, 3 * headWidth, seed: 1, padding: 2)
      let heads = try stage.randomHeads(300, 3 * headWidth, headWidth: headWidth, seed: 1)
      for (x, inverse) in [(plain, false), (heads, true)] {
        stage.kernels.rotary(
          x: x, positions: try stage.kernels.place(positions), headWidth: headWidth,
          theta: 10_000, inverse: inverse)
      }
      return [("rows", plain), ("heads, back", heads)]
    }
  }

  private static func sinusoidal(_ shape: Shape) -> DeviceCheck {
    DeviceCheck("sinusoidal \(shape)") { stage in
      let x = try stage.random(shape.rows, shape.columns, seed: 1, padding: shape.padding)
      stage.kernels.addSinusoidal(
        x: x, positions: try stage.kernels.place((0..<shape.rows).map { Int32(13 * $0) }),
        amplitude: 0.3)
      return [("x", x)]
    }
  }

  private static func swiGLU(_ shape: Shape) -> DeviceCheck {
    DeviceCheck("swiGLU \(shape)") { stage in
      let gateUp = try stage.random(
        shape.rows, 2 * shape.columns, seed: 1, deviation: 3, padding: shape.padding)
      let y = try stage.filled(shape.rows, shape.columns, with: 9, padding: shape.padding)
      let again = try stage.filled(shape.rows, shape.columns, with: 9)
      let dGateUp = try stage.filled(shape.rows, 2 * shape.columns, with: 9)
      stage.kernels.swiGLUForward(y: y, gateUp: gateUp)
      stage.kernels.swiGLUBackward(
        dGateUp: dGateUp, y: again, dy: try stage.random(shape.rows, shape.columns, seed: 2),
        gateUp: gateUp)
      return [("y", y), ("y once more", again), ("dGateUp", dGateUp)]
    }
  }

  private static func residual(_ shape: Shape) -> DeviceCheck {
    DeviceCheck("residual \(shape)") { stage in
      let x = try stage.random(
        shape.rows, shape.columns, seed: 1, padding: shape.padding, for: .master)
      stage.kernels.residualAdd(x: x, y: try stage.random(shape.rows, shape.columns, seed: 2))
      return [("x", x)]
    }
  }

  /// Element by element the same mask, wherever a batch begins.
  private static func dropout(_ shape: Shape) -> [DeviceCheck] {
    [(Float(0), 0), (0.1, 5), (0.5, 1 << 33), (0.999, 7)].map { probability, rowOffset in
      DeviceCheck("dropout \(shape), \(probability) from row \(rowOffset)") { stage in
        let x = try stage.random(shape.rows, shape.columns, seed: 1, padding: shape.padding)
        stage.kernels.dropout(
          x: x, probability: probability, random: CounterRandom(seed: 4, 2), rowOffset: rowOffset)
        return [("x", x)]
      }
    }
  }
}
