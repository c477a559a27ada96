import Deterministic
import Tensor
import TestSupport
import Testing

/// Rows that are computed alone have the bits that they have among others, where that is promised.
@Suite struct RowTests {
  private static let backends = try? TestBackend.allCases.filter {
    try $0.makeKernels().promises.rowsAreIndependent
  }

  /// Rows of the batch that are computed again: one, a few, past the vector width.
  private static let parts = [0..<1, 6..<7, 69..<70, 3..<5, 8..<25, 1..<70]

  /// Compares all rows of `body`'s result with those of parts of its input.
  private func expectRows(
    _ backend: TestBackend, columns: Int, _ body: (Stage, View, Range<Int>) throws -> View,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let stage = try Stage(backend)
    let x = try stage.random(70, columns, seed: 1)
    let whole = try body(stage, try stage.copy(of: x), 0..<70)
    for part in Self.parts {
      let rows = try body(stage, try stage.copy(of: x.rows(part)), part)
      let expected = whole.rows == 1 ? whole.columns(part) : whole.rows(part)
      #expect(
        haveSameBits(try stage.numbers(rows), try stage.numbers(expected)), "rows \(part)",
        sourceLocation: sourceLocation)
    }
  }

  @Test(arguments: backends ?? [], [1, 7, 33, 200]) func products(backend: TestBackend, width: Int)
    throws
  {
    for outputs in [1, 8, 65] {
      try expectRows(backend, columns: width) { stage, x, _ in
        let y = try stage.filled(x.rows, outputs, with: 0.5)
        let w = try stage.random(outputs, width, seed: 2)
        stage.kernels.linearForward(y: y, x: x, w: w, accumulate: outputs == 8)
        return y
      }
    }
  }

  @Test(arguments: backends ?? [], [1, 7, 33, 200]) func heads(backend: TestBackend, width: Int)
    throws
  {
    for vocabulary in [2, 61, 500] {
      try expectRows(backend, columns: width) { stage, x, rows in
        let nll = try stage.zeros(1, x.rows, for: .master)
        let w = try stage.random(vocabulary, width, seed: 2, deviation: 0.2)
        let targets = randomIds(70, below: vocabulary, seed: 3)[rows]
        stage.kernels.crossEntropyForward(
          nllNats: nll, hidden: x, w: w, targets: try stage.kernels.place(Array(targets)))
        return nll
      }
    }
  }

  @Test(arguments: backends ?? [], [2, 14, 32, 66]) func layers(backend: TestBackend, width: Int)
    throws
  {
    try expectRows(backend, columns: width) { stage, x, _ in
      let y = try stage.zeros(x.rows, width)
      let gain = try stage.random(1, width, seed: 2)
      stage.kernels.rmsNormForward(
        y: y, rstd: try stage.zeros(1, x.rows), x: x, gain: gain, epsilon: 1e-6)
      return y
    }
    try expectRows(backend, columns: width) { stage, x, _ in
      let y = try stage.zeros(x.rows, width / 2)
      stage.kernels.swiGLUForward(y: y, gateUp: x)
      return y
    }
    try expectRows(backend, columns: width) { stage, x, rows in
      let positions = try stage.kernels.place(rows.map(Int32.init))
      stage.kernels.rotary(
        x: x, positions: positions, headWidth: width, theta: 10_000, inverse: false)
      stage.kernels.addSinusoidal(x: x, positions: positions, amplitude: 0.5)
      stage.kernels.dropout(
        x: x, probability: 0.2, random: CounterRandom(seed: 1), rowOffset: rows.lowerBound)
      return x
    }
  }
}
