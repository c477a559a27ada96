import Deterministic
package import Tensor

/// A device, and seeded numbers that are placed on it through its verbs alone.
package struct Stage {
  package let kernels: any Kernels

  package init(_ kernels: any Kernels) { self.kernels = kernels }

  /// - Parameters:
  ///   - rows: Rows.
  ///   - columns: Columns.
  ///   - padding: Columns that lie between the rows and belong to nobody.
  ///   - use: What the matrix is kept for.
  package func zeros(
    _ rows: Int, _ columns: Int, padding: Int = 0, for use: NumberUse = .compute
  ) throws -> View {
    let whole = try kernels.makeView(rows: rows, columns: columns + padding, for: use)
    return padding == 0 ? whole : whole.columns(0..<columns)
  }

  package func filled(
    _ rows: Int, _ columns: Int, with value: Float, padding: Int = 0,
    for use: NumberUse = .compute
  ) throws -> View {
    let view = try zeros(rows, columns, padding: padding, for: use)
    kernels.fill(view, with: value)
    return view
  }

  /// Normal numbers, the same on every device.
  package func random(
    _ rows: Int, _ columns: Int, seed: UInt64, deviation: Double = 1, padding: Int = 0,
    for use: NumberUse = .compute
  ) throws -> View {
    let view = try zeros(rows, columns, padding: padding, for: use)
    try write(to: view, seed: seed, deviation: deviation)
    return view
  }

  /// The same, heads laid out as the device likes them.
  package func randomHeads(
    _ rows: Int, _ columns: Int, headWidth: Int, seed: UInt64
  ) throws -> View {
    let view = try kernels.makeHeads(rows: rows, columns: columns, headWidth: headWidth)
    try write(to: view, seed: seed)
    return view
  }

  /// Normal numbers of eight significant bits, which every type of activations holds: what is compared
  /// is the operation, not the rounding of its inputs.
  package func write(to view: View, seed: UInt64, deviation: Double = 1) throws {
    let numbers = CounterRandom(seed: seed).gaussians(0..<view.count, deviation: deviation)
    try kernels.write(
      numbers.map { Float(bitPattern: ($0.bitPattern &+ 0x8000) & 0xFFFF_0000) }, to: view)
  }

  package func copy(of view: View, for use: NumberUse = .compute) throws -> View {
    let copy = try zeros(view.rows, view.columns, for: use)
    kernels.copy(view, to: copy)
    return copy
  }

  package func numbers(_ view: View) throws -> [Float] { try kernels.numbers(of: view) }
}

/// Seeded ids below `bound`.
func randomIds(_ count: Int, below bound: Int, seed: UInt64) -> [Int32] {
  let random = CounterRandom(seed: seed)
  return (0..<count).map { Int32(random.bits(UInt64($0)) % UInt64(bound)) }
}
