import Deterministic
import DeviceCheck
import Tensor

/// Tensors and gradients of a case on one device, queries, keys and values side by side as a model has
/// them.
struct TileStage {
  let kernels: any Kernels
  let tiles: TileCase
  let attention: any AttentionOperator
  let tensors: AttentionTensors
  let gradients: AttentionGradients
  let pass: AttentionPass

  /// - Parameters:
  ///   - tiles: The case.
  ///   - kernels: Where.
  ///   - isRounded: Whether inputs are rounded to bfloat16, which devices with activations of that type
  ///     do anyway.
  init(_ tiles: TileCase, on kernels: any Kernels, isRounded: Bool) throws {
    let rows = tiles.starts.last ?? 0
    func make(_ rows: Int, _ columns: Int) throws -> View {
      try kernels.makeView(rows: rows, columns: columns, for: .compute)
    }
    func random(_ view: View, seed: UInt64, deviation: Double = 1) throws -> View {
      let numbers = CounterRandom(seed: seed).gaussians(0..<view.count, deviation: deviation)
      try kernels.write(isRounded ? numbers.map(Self.rounded) : numbers, to: view)
      return view
    }
    func bias(seed: UInt64) throws -> View? {
      try tiles.biasLength.map {
        try random(kernels.makeView(rows: tiles.heads, columns: $0), seed: seed, deviation: 0.5)
      }
    }
    let columns = tiles.columns
    let qkv = try random(make(rows, 3 * columns), seed: 1)
    let dQKV = try random(make(rows, 3 * columns), seed: 2)
    func part(_ view: View, _ index: Int) -> View {
      view.columns(index * columns..<(index + 1) * columns)
    }
    self.kernels = kernels
    self.tiles = tiles
    tensors = AttentionTensors(
      q: part(qkv, 0), k: part(qkv, 1), v: part(qkv, 2), bias: try bias(seed: 3),
      o: try random(make(rows, columns), seed: 4),
      saved: try kernels.makeView(rows: tiles.heads, columns: rows))
    gradients = AttentionGradients(
      dO: try random(make(rows, columns), seed: 5), dq: part(dQKV, 0), dk: part(dQKV, 1),
      dv: part(dQKV, 2), dBias: try bias(seed: 6))
    pass = AttentionPass(
      try Sequences(tiles.starts, on: kernels), layer: 0, draw: .evaluation(seed: 1))
    attention = try tiles.attention(on: kernels)
  }

  /// To the nearest bfloat16, ties to even.
  private static func rounded(_ x: Float) -> Float {
    let bits = x.bitPattern
    return Float(bitPattern: (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000)
  }

  func forward() { attention.forward(tensors, pass) }

  func backward() { attention.backward(tensors, gradients, pass) }

  /// Tensors that have a row for every position.
  var rowViews: Results {
    [("o", tensors.o), ("dq", gradients.dq), ("dk", gradients.dk), ("dv", gradients.dv)]
  }

  var results: Results {
    rowViews + [("saved", tensors.saved)] + (gradients.dBias.map { [("dBias", $0)] } ?? [])
  }

  func numbers(_ view: View) throws -> [Float] { try kernels.numbers(of: view) }

  /// Takes rows into streams and returns their outputs.
  func step(_ rows: Range<Int>, _ states: [any AttentionState]) throws -> [Float] {
    let some = tensors.rows(rows)
    try kernels.write([Float](repeating: 0, count: some.o.count), to: some.o)
    attention.step(some, states)
    return try numbers(some.o)
  }

  func makeState() throws -> any AttentionState {
    try attention.makeState(
      HeadWidths(keys: tiles.width, values: tiles.width), layer: 0, draw: .evaluation(seed: 1))
  }
}
