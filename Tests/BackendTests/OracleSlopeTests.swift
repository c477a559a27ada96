import DeviceCheck
import OracleBackend
import Deterministic
import Tensor
import TestSupport
import Testing

/// The gradients of the oracle are the slopes of its own outputs, to nine digits: there is no other
/// twin that it could be compared with.
@Suite struct OracleSlopeTests {
  private static let kernels = OracleKernels()

  /// An input, and where its gradient is added or written.
  private struct Input {
    let name: String
    let view: View
    let gradient: View
    /// What the gradient began with, where it accumulates.
    let start: [Double]

    init(_ name: String, _ view: View, _ gradient: View, accumulates: Bool) {
      (self.name, self.view, self.gradient) = (name, view, gradient)
      let numbers = kernels.readDoubles(gradient)
      start = accumulates ? numbers : numbers.map { _ in 0 }
    }
  }

  /// Compares gradients with differences of `Σ upstream · output` over five points.
  private func expectSlopes(
    _ inputs: [Input], of output: View, along upstream: View,
    sourceLocation: SourceLocation = #_sourceLocation, forward: () -> Void, backward: () -> Void
  ) {
    let kernels = Self.kernels
    forward()
    backward()
    let weights = kernels.readDoubles(upstream)
    for input in inputs {
      let gradient = zip(kernels.readDoubles(input.gradient), input.start).map { $0 - $1 }
      let largest = gradient.reduce(0) { max($0, abs($1)) }
      let numbers = kernels.readDoubles(input.view)
      let random = CounterRandom(seed: 9, UInt64(numbers.count))
      let chosen =
        numbers.count <= 25
        ? Array(numbers.indices)
        : (0..<25).map { Int(random.bits($0) % UInt64(numbers.count)) }
      for index in chosen {
        func value(_ step: Double) -> Double {
          var moved = numbers
          moved[index] += step
          kernels.writeDoubles(moved, to: input.view)
          forward()
          return zip(kernels.readDoubles(output), weights).reduce(0) { $0 + $1.0 * $1.1 }
        }
        let step = 1e-4
        let slope =
          (8 * (value(step) - value(-step)) - (value(2 * step) - value(-2 * step))) / (12 * step)
        #expect(
          abs(slope - gradient[index]) <= 1e-9 * max(1, largest),
          "\(input.name) \(index): \(gradient[index]), slope \(slope), largest \(largest)",
          sourceLocation: sourceLocation)
      }
      kernels.writeDoubles(numbers, to: input.view)
    }
  }

  @Test(arguments: Shape.all) func layers(shape: Shape) throws {
    let stage = Stage(OracleKernels())
    let (rows, columns) = (shape.rows, shape.columns)
    func random(_ rows: Int, _ columns: Int, _ seed: UInt64) throws -> View {
      try stage.random(rows, columns, seed: seed, padding: shape.padding)
    }
    let (x, y, dy) = (
      try random(rows, columns, 1), try random(rows, columns, 2), try random(rows, columns, 3)
    )
    let dx = try random(rows, columns, 4)
    let kernels = Self.kernels

    let (table, dTable) = (try random(5, columns, 5), try random(5, columns, 6))
    let ids = kernels.place(randomIds(rows, below: 5, seed: 1))
    expectSlopes([Input("table", table, dTable, accumulates: true)], of: y, along: dy) {
      kernels.embeddingForward(y: y, ids: ids, table: table)
    } backward: {
      kernels.embeddingBackward(dTable: dTable, dy: dy, ids: ids)
    }

    let (gain, dGain) = (try stage.random(1, columns, seed: 7), try stage.zeros(1, columns))
    let rstd = try stage.zeros(1, rows)
    expectSlopes(
      [
        Input("x of rmsNorm", x, dx, accumulates: true),
        Input("gain", gain, dGain, accumulates: true),
      ], of: y, along: dy
    ) {
      kernels.rmsNormForward(y: y, rstd: rstd, x: x, gain: gain, epsilon: 0.1)
    } backward: {
      kernels.rmsNormBackward(dx: dx, dGain: dGain, dy: dy, x: x, gain: gain, rstd: rstd)
    }

    let (gateUp, dGateUp) = (try random(rows, 2 * columns, 8), try random(rows, 2 * columns, 9))
    expectSlopes([Input("gateUp", gateUp, dGateUp, accumulates: false)], of: y, along: dy) {
      kernels.swiGLUForward(y: y, gateUp: gateUp)
    } backward: {
      kernels.swiGLUBackward(dGateUp: dGateUp, y: y, dy: dy, gateUp: gateUp)
    }
  }

  /// What works in place, whose backward pass is a call on the gradient.
  @Test func rotaryAndDropout() throws {
    let stage = Stage(OracleKernels())
    let kernels = Self.kernels
    let (x, y, dy, dx) = (
      try stage.random(9, 12, seed: 1), try stage.zeros(9, 12), try stage.random(9, 12, seed: 3),
      try stage.zeros(9, 12)
    )
    let positions = kernels.place((0..<9).map { 5 * $0 })
    func turn(_ x: View, inverse: Bool) {
      kernels.rotary(x: x, positions: positions, headWidth: 6, theta: 100, inverse: inverse)
    }
    func drop(_ x: View) {
      kernels.dropout(x: x, probability: 0.3, random: CounterRandom(seed: 5), rowOffset: 2)
    }
    expectSlopes([Input("x", x, dx, accumulates: false)], of: y, along: dy) {
      kernels.copy(x, to: y)
      turn(y, inverse: false)
      drop(y)
    } backward: {
      kernels.copy(dy, to: dx)
      drop(dx)
      turn(dx, inverse: true)
    }
  }

  @Test(arguments: [[1, 1, 2], [3, 7, 5], [9, 33, 40]]) func products(size: [Int]) throws {
    let stage = Stage(OracleKernels())
    let kernels = Self.kernels
    let (rows, inputs, outputs) = (size[0], size[1], size[2])
    let (x, w) = (
      try stage.random(rows, inputs, seed: 1), try stage.random(outputs, inputs, seed: 2)
    )
    let (dx, dw) = (
      try stage.random(rows, inputs, seed: 3), try stage.random(outputs, inputs, seed: 4)
    )
    let (y, dy) = (
      try stage.random(rows, outputs, seed: 5), try stage.random(rows, outputs, seed: 6)
    )
    expectSlopes(
      [Input("x", x, dx, accumulates: true), Input("w", w, dw, accumulates: true)], of: y,
      along: dy
    ) {
      kernels.linearForward(y: y, x: x, w: w, accumulate: false)
    } backward: {
      kernels.linearBackwardInput(dx: dx, dy: dy, w: w, accumulate: true)
      kernels.linearBackwardWeight(dw: dw, dy: dy, x: x)
    }
    let nll = try stage.zeros(1, rows)
    let scale = try stage.filled(1, rows, with: 0.25)
    let targets = kernels.place(randomIds(rows, below: outputs, seed: 7))
    expectSlopes(
      [Input("hidden", x, dx, accumulates: false), Input("head", w, dw, accumulates: true)],
      of: nll, along: scale
    ) {
      kernels.crossEntropyForward(nllNats: nll, hidden: x, w: w, targets: targets)
    } backward: {
      kernels.crossEntropyForwardBackward(
        nllNats: nll, dHidden: dx, dw: dw, hidden: x, w: w, targets: targets, gradientScale: 0.25)
    }
  }

  @Test(arguments: AttentionSubject.all) func attentions(subject: AttentionSubject) throws {
    let size = AttentionSize([1, 23, 0, 6], keys: 5, values: 4)
    let staged = try #require(try AttentionStage(OracleKernels(), subject, size))
    let (tensors, gradients) = (staged.tensors, staged.gradients)
    var inputs = [Input("v", tensors.v, gradients.dv, accumulates: false)]
    if subject.hasSlopes {
      inputs.append(Input("q", tensors.q, gradients.dq, accumulates: false))
      inputs.append(Input("k", tensors.k, gradients.dk, accumulates: false))
    }
    if let bias = tensors.bias, let dBias = gradients.dBias {
      inputs.append(Input("bias", bias, dBias, accumulates: true))
    }
    if let input = tensors.input, let dInput = gradients.dInput {
      inputs.append(Input("input", input, dInput, accumulates: false))
    }
    for (index, (own, dOwn)) in zip(tensors.own, gradients.dOwn).enumerated() {
      inputs.append(Input("weight \(index)", own, dOwn, accumulates: true))
    }
    expectSlopes(
      inputs, of: tensors.o, along: gradients.dO, forward: staged.forward,
      backward: staged.backward)
  }

  /// AdamW as the contract writes it, step by step.
  @Test func adamWIsItsFormula() throws {
    let stage = Stage(OracleKernels())
    let kernels = Self.kernels
    let views = try (0..<4).map { try stage.random(1, 9, seed: UInt64($0)) }
    kernels.writeDoubles([Double](repeating: 0.3, count: 9), to: views[3])
    let step = AdamWStep(
      rate: 0.01, beta1: 0.5, beta2: 0.75, epsilon: 0.125, decay: 0.25, step: 3,
      gradientScale: 0.5)
    var (p, m, v) = (
      kernels.readDoubles(views[0]), kernels.readDoubles(views[2]), kernels.readDoubles(views[3])
    )
    let rate = Double(step.rate)
    for (index, gradient) in kernels.readDoubles(views[1]).enumerated() {
      let g = 0.5 * gradient
      m[index] = 0.5 * m[index] + 0.5 * g
      v[index] = 0.75 * v[index] + 0.25 * g * g
      let (first, second) = (m[index] / (1 - 0.125), v[index] / (1 - 0.421875))
      p[index] -= rate * (first / (second.squareRoot() + 0.125) + 0.25 * p[index])
    }
    kernels.adamW(
      parameters: views[0], gradients: views[1], firstMoment: views[2], secondMoment: views[3],
      step)
    for (view, expected) in [(views[0], p), (views[2], m), (views[3], v)] {
      for (a, b) in zip(kernels.readDoubles(view), expected) { #expect(abs(a - b) < 1e-14) }
    }
  }
}
