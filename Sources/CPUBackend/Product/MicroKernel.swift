import CProcessor

/// The micro-kernel of every large matrix product: a tile of C out of packed panels.
///
/// Panels of A have six rows, those of B sixteen columns, for vectors of any width. A tile is as many
/// panels of each as fill the registers.
enum MicroKernel {
  /// Rows of a panel of A.
  static let rows = 6
  /// Columns of a panel of B.
  static let columns = 16
  /// Panels of A and of B in one tile.
  #if AVX512
    static let panels = 2
  #else
    static let panels = 1
  #endif
  static let tileRows = panels * rows
  static let tileColumns = panels * columns

  /// Cuts K into k-blocks, each summed in registers before it reaches memory.
  ///
  /// A packed panel of B is then 16 KiB, half of L1. The cut follows from K alone, so all products
  /// with the same K round alike.
  static func kBlocks(_ k: Int) -> Partition { Partition(k, near: 256, multipleOf: 8) }

  /// `C (+)= A B` for one tile; every element is a sum of fused multiply-adds in the order of the panels.
  ///
  /// - Parameters:
  ///   - c: First element of the tile.
  ///   - stride: Floats from a row of C to the next.
  ///   - a: Packed panels `[k, 6]`.
  ///   - b: Packed panels `[k, 16]`.
  ///   - k: Terms of the sums, or pairs of them.
  ///   - rows: Rows of the tile that exist, at most `tileRows`.
  ///   - columns: Columns of the tile that exist, at most `tileColumns`.
  ///   - accumulate: Whether the sums are added to C or replace it.
  ///   - form: What the panels hold.
  static func multiply(
    _ c: UnsafeMutablePointer<Float>, stride: Int, a: UnsafePointer<Float>,
    b: UnsafePointer<Float>, k: Int, rows: Int, columns: Int, accumulate: Bool, form: ProductForm
  ) {
    let isTall = rows > Self.rows
    let isBroad = columns > Self.columns
    let height = isTall ? 2 * Self.rows : Self.rows
    let width = isBroad ? 2 * Self.columns : Self.columns
    if rows == height && columns == width {
      return multiply(
        c, stride, a, b, k, isTall: isTall, isBroad: isBroad, accumulate: accumulate, form)
    }
    withUnsafeTemporaryAllocation(of: Float.self, capacity: height * width) { block in
      guard let whole = block.baseAddress else { return }
      multiply(whole, width, a, b, k, isTall: isTall, isBroad: isBroad, accumulate: false, form)
      copyPart(
        of: whole, width: width, to: c, stride: stride, rows: rows, columns: columns,
        accumulate: accumulate)
    }
  }

  /// A whole tile.
  @inline(__always)
  private static func multiply(
    _ c: UnsafeMutablePointer<Float>, _ stride: Int, _ a: UnsafePointer<Float>,
    _ b: UnsafePointer<Float>, _ k: Int, isTall: Bool, isBroad: Bool, accumulate: Bool,
    _ form: ProductForm
  ) {
    let (tall, broad, adds): (Int32, Int32, Int32) = (
      isTall ? 1 : 0, isBroad ? 1 : 0, accumulate ? 1 : 0
    )
    #if AVX512
      if form == .pairs {
        let a = UnsafeRawPointer(a).assumingMemoryBound(to: UInt32.self)
        let b = UnsafeRawPointer(b).assumingMemoryBound(to: UInt32.self)
        return cp_multiply_pairs(c, stride, a, b, k, tall, broad, adds)
      }
    #endif
    #if AVX512 && !EMULATE_AVX512
      cp_multiply_over_sixteen(c, stride, a, b, k, tall, broad, adds)
    #else
      cp_multiply_over_eight(c, stride, a, b, k, tall, broad, adds)
    #endif
  }

  /// Writes what exists of a tile or adds it to C.
  @inline(__always)
  private static func copyPart(
    of tile: UnsafePointer<Float>, width: Int, to c: UnsafeMutablePointer<Float>, stride: Int,
    rows: Int, columns: Int, accumulate: Bool
  ) {
    for row in 0..<rows {
      let from = tile + row * width
      let to = c + row * stride
      if accumulate {
        for column in 0..<columns { to[column] += from[column] }
      } else {
        for column in 0..<columns { to[column] = from[column] }
      }
    }
  }
}
