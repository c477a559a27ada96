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
    prefetch(c, stride: stride)
    #if AVX512
      if form == .pairs {
        return multiplyPairs(
          c, stride: stride, a: a, b: b, pairs: k, rows: rows, columns: columns,
          accumulate: accumulate)
      }
      if rows > Self.rows {
        prefetch(c + Self.rows * stride, stride: stride)
        if columns > Self.columns {
          prefetch(c + Self.columns, stride: stride)
          prefetch(c + Self.rows * stride + Self.columns, stride: stride)
          let tile = product(a, b, k: k, isTall: true, isBroad: true)
          return finish(
            tile, c, stride: stride, rows: rows, columns: columns, accumulate: accumulate,
            isTall: true, isBroad: true)
        }
        let tile = product(a, b, k: k, isTall: true, isBroad: false)
        return finish(
          tile, c, stride: stride, rows: rows, columns: columns, accumulate: accumulate,
          isTall: true, isBroad: false)
      }
      if columns > Self.columns {
        prefetch(c + Self.columns, stride: stride)
        let tile = product(a, b, k: k, isTall: false, isBroad: true)
        return finish(
          tile, c, stride: stride, rows: rows, columns: columns, accumulate: accumulate,
          isTall: false, isBroad: true)
      }
    #endif
    let tile = product(a, b, k: k, isTall: false, isBroad: false)
    finish(
      tile, c, stride: stride, rows: rows, columns: columns, accumulate: accumulate,
      isTall: false, isBroad: false)
  }

  #if AVX512
    /// The same of panels of pairs.
    private static func multiplyPairs(
      _ c: UnsafeMutablePointer<Float>, stride: Int, a: UnsafePointer<Float>,
      b: UnsafePointer<Float>, pairs: Int, rows: Int, columns: Int, accumulate: Bool
    ) {
      let a = UnsafeRawPointer(a).assumingMemoryBound(to: UInt32.self)
      let b = UnsafeRawPointer(b).assumingMemoryBound(to: UInt32.self)
      let (isTall, isBroad) = (rows > Self.rows, columns > Self.columns)
      let height = isTall ? 2 * Self.rows : Self.rows
      let width = isBroad ? 2 * Self.columns : Self.columns
      if isTall { prefetch(c + Self.rows * stride, stride: stride) }
      if rows == height && columns == width {
        cp_multiply_pairs(
          c, stride, a, b, pairs, isTall ? 1 : 0, isBroad ? 1 : 0, accumulate ? 1 : 0)
        return
      }
      withUnsafeTemporaryAllocation(of: Float.self, capacity: height * width) { block in
        guard let whole = block.baseAddress else { return }
        cp_multiply_pairs(whole, width, a, b, pairs, isTall ? 1 : 0, isBroad ? 1 : 0, 0)
        copyPart(
          of: whole, width: width, to: c, stride: stride, rows: rows, columns: columns,
          accumulate: accumulate)
      }
    }
  #endif

  /// The sums of up to two panels of A and two of B.
  fileprivate struct Tile {
    var first = TileSums()
    /// The next panel of B.
    var right = TileSums()
    /// The next panel of A.
    var below = TileSums()
    /// The next of both.
    var last = TileSums()
  }

  /// - Parameters:
  ///   - isTall: Whether there are two panels of A.
  ///   - isBroad: Whether there are two panels of B.
  @inline(__always)
  private static func product(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, k: Int, isTall: Bool, isBroad: Bool
  ) -> Tile {
    var tile = Tile()
    var a = a
    var b = b
    let below = rows * k
    let right = columns * k
    for _ in 0..<k / 4 {
      tile.add(a, b, below: below, right: right, isTall: isTall, isBroad: isBroad)
      tile.add(a + 6, b + 16, below: below, right: right, isTall: isTall, isBroad: isBroad)
      tile.add(a + 12, b + 32, below: below, right: right, isTall: isTall, isBroad: isBroad)
      tile.add(a + 18, b + 48, below: below, right: right, isTall: isTall, isBroad: isBroad)
      a += 24
      b += 64
    }
    for _ in 0..<k % 4 {
      tile.add(a, b, below: below, right: right, isTall: isTall, isBroad: isBroad)
      a += 6
      b += 16
    }
    return tile
  }

  /// Writes a tile or adds it to C.
  @inline(__always)
  private static func finish(
    _ tile: Tile, _ c: UnsafeMutablePointer<Float>, stride: Int, rows: Int, columns: Int,
    accumulate: Bool, isTall: Bool, isBroad: Bool
  ) {
    let height = isTall ? 2 * Self.rows : Self.rows
    let width = isBroad ? 2 * Self.columns : Self.columns
    if rows == height && columns == width {
      if accumulate {
        tile.join(c, stride: stride, isTall: isTall, isBroad: isBroad)
      } else {
        tile.write(c, stride: stride, isTall: isTall, isBroad: isBroad)
      }
      return
    }
    withUnsafeTemporaryAllocation(of: Float.self, capacity: height * width) { block in
      guard let whole = block.baseAddress else { return }
      tile.write(whole, stride: width, isTall: isTall, isBroad: isBroad)
      copyPart(
        of: whole, width: width, to: c, stride: stride, rows: rows, columns: columns,
        accumulate: accumulate)
    }
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

  /// Prefetches six rows of C, so that they are in cache when the sums are ready.
  ///
  /// The processor prefetches the packed panels by itself, but not C: every tile would wait for
  /// memory at its end.
  @inline(__always)
  private static func prefetch(_ c: UnsafePointer<Float>, stride: Int) {
    cp_prefetch(c)
    cp_prefetch(c + stride)
    cp_prefetch(c + 2 * stride)
    cp_prefetch(c + 3 * stride)
    cp_prefetch(c + 4 * stride)
    cp_prefetch(c + 5 * stride)
  }
}

extension MicroKernel.Tile {
  /// One term of every sum; the second panels lie `below` and `right` floats behind the first ones.
  @inline(__always)
  fileprivate mutating func add(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, below offsetA: Int, right offsetB: Int,
    isTall: Bool, isBroad: Bool
  ) {
    let row = loadWide(b)
    guard isBroad else {
      first.add(row, a)
      if isTall { below.add(row, a + offsetA) }
      return
    }
    let next = loadWide(b + offsetB)
    TileSums.add(&first, &right, row, next, a)
    if isTall { TileSums.add(&below, &last, row, next, a + offsetA) }
  }

  @inline(__always)
  fileprivate func write(
    _ c: UnsafeMutablePointer<Float>, stride: Int, isTall: Bool, isBroad: Bool
  ) {
    let (rows, columns) = (MicroKernel.rows, MicroKernel.columns)
    first.write(c, stride: stride)
    if isBroad { right.write(c + columns, stride: stride) }
    if isTall { below.write(c + rows * stride, stride: stride) }
    if isTall && isBroad { last.write(c + rows * stride + columns, stride: stride) }
  }

  @inline(__always)
  fileprivate func join(
    _ c: UnsafeMutablePointer<Float>, stride: Int, isTall: Bool, isBroad: Bool
  ) {
    let (rows, columns) = (MicroKernel.rows, MicroKernel.columns)
    first.join(c, stride: stride)
    if isBroad { right.join(c + columns, stride: stride) }
    if isTall { below.join(c + rows * stride, stride: stride) }
    if isTall && isBroad { last.join(c + rows * stride + columns, stride: stride) }
  }
}

extension TileSums {
  /// One term of every sum, from six packed numbers of A and a row of B.
  @inline(__always)
  fileprivate mutating func add(_ row: WideLanes, _ a: UnsafePointer<Float>) {
    add(row, a[0], a[1], a[2], a[3], a[4], a[5])
  }

  @inline(__always)
  fileprivate static func add(
    _ left: inout TileSums, _ right: inout TileSums, _ row: WideLanes, _ next: WideLanes,
    _ a: UnsafePointer<Float>
  ) {
    add(&left, &right, row, next, a[0], a[1], a[2], a[3], a[4], a[5])
  }
}
