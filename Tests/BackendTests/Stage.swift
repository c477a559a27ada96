import Deterministic
import Tensor
import TestSupport
import Testing

/// A device, and seeded numbers that are placed on it through its verbs alone.
struct Stage {
  let backend: TestBackend
  let kernels: any Kernels

  init(_ backend: TestBackend) throws {
    self.backend = backend
    kernels = try backend.makeKernels()
  }

  /// - Parameters:
  ///   - rows: Rows.
  ///   - columns: Columns.
  ///   - padding: Columns that lie between the rows and belong to nobody.
  ///   - use: What the matrix is kept for.
  func zeros(
    _ rows: Int, _ columns: Int, padding: Int = 0, for use: NumberUse = .compute
  ) throws -> View {
    let whole = try kernels.makeView(rows: rows, columns: columns + padding, for: use)
    return padding == 0 ? whole : whole.columns(0..<columns)
  }

  func filled(
    _ rows: Int, _ columns: Int, with value: Float, padding: Int = 0,
    for use: NumberUse = .compute
  ) throws -> View {
    let view = try zeros(rows, columns, padding: padding, for: use)
    kernels.fill(view, with: value)
    return view
  }

  /// Normal numbers, the same on every device.
  func random(
    _ rows: Int, _ columns: Int, seed: UInt64, deviation: Double = 1, padding: Int = 0,
    for use: NumberUse = .compute
  ) throws -> View {
    let view = try zeros(rows, columns, padding: padding, for: use)
    try write(to: view, seed: seed, deviation: deviation)
    return view
  }

  /// The same, heads laid out as the device likes them.
  func randomHeads(
    _ rows: Int, _ columns: Int, headWidth: Int, seed: UInt64
  ) throws -> View {
    let view = try kernels.makeHeads(rows: rows, columns: columns, headWidth: headWidth)
    try write(to: view, seed: seed)
    return view
  }

  /// Normal numbers of eight significant bits, which every type of activations holds: what is compared
  /// is the operation, not the rounding of its inputs.
  func write(to view: View, seed: UInt64, deviation: Double = 1) throws {
    let numbers = CounterRandom(seed: seed).gaussians(0..<view.count, deviation: deviation)
    try kernels.write(
      numbers.map { Float(bitPattern: ($0.bitPattern &+ 0x8000) & 0xFFFF_0000) }, to: view)
  }

  func copy(of view: View, for use: NumberUse = .compute) throws -> View {
    let copy = try zeros(view.rows, view.columns, for: use)
    kernels.copy(view, to: copy)
    return copy
  }

  func numbers(_ view: View) throws -> [Float] { try kernels.numbers(of: view) }
}

/// The back ends that are compared with the oracle.
let others = TestBackend.allCases.filter { $0 != .oracle }

/// Rows, columns and padding of a matrix.
struct Shape: Sendable, CustomTestStringConvertible {
  let rows: Int
  let columns: Int
  var padding = 0

  var testDescription: String { "[\(rows), \(columns)], padding \(padding)" }

  /// One element, odd, whole vectors, past them, ragged, many.
  static let all = [
    Shape(rows: 1, columns: 1), Shape(rows: 3, columns: 7), Shape(rows: 5, columns: 8, padding: 5),
    Shape(rows: 4, columns: 33), Shape(rows: 17, columns: 50, padding: 3),
    Shape(rows: 70, columns: 96),
  ]
}
