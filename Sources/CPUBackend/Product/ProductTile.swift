import CProcessor

/// The tile that every large matrix product is made of: six rows of sixteen columns.
///
/// Twelve accumulators, two vectors of the right factor and one number of the left: fifteen of
/// sixteen registers.
enum ProductTile {
  static let rows = 6
  static let columns = 16

  /// Cuts the steps of a sum into chains, each added in registers before it reaches memory.
  ///
  /// A panel of the right factor is then 16 KiB, half of the first cache. The cut follows from the
  /// number of steps alone, so every product of that depth rounds alike.
  static func chains(_ steps: Int) -> Blocks { Blocks(steps, near: 256, multipleOf: 8) }

  /// `c (+)= a b` for one tile; the sum of every element is one chain of fused multiply-adds.
  ///
  /// - Parameters:
  ///   - a: `[depth, 6]`, packed.
  ///   - b: `[depth, 16]`, packed.
  ///   - rows: Rows of the tile that exist, at most 6.
  ///   - columns: Columns of the tile that exist, at most 16.
  static func multiply(
    _ c: UnsafeMutablePointer<Float>, stride: Int, a: UnsafePointer<Float>,
    b: UnsafePointer<Float>, depth: Int, rows: Int, columns: Int, accumulate: Bool
  ) {
    prefetch(c, stride: stride)
    var running = TileSums()
    var a = a
    var b = b
    for _ in 0..<depth / 4 {
      running.add(a, b)
      running.add(a + 6, b + 16)
      running.add(a + 12, b + 32)
      running.add(a + 18, b + 48)
      a += 24
      b += 64
    }
    for _ in 0..<depth % 4 {
      running.add(a, b)
      a += 6
      b += 16
    }
    let sums = running
    if rows == Self.rows && columns == Self.columns {
      if accumulate {
        sums.join(c, stride: stride)
      } else {
        sums.write(c, stride: stride)
      }
      return
    }
    withUnsafeTemporaryAllocation(of: Float.self, capacity: Self.rows * Self.columns) { block in
      guard let whole = block.baseAddress else { return }
      sums.write(whole, stride: Self.columns)
      for row in 0..<rows {
        let from = whole + row * Self.columns
        let to = c + row * stride
        if accumulate {
          for column in 0..<columns { to[column] += from[column] }
        } else {
          for column in 0..<columns { to[column] = from[column] }
        }
      }
    }
  }

  /// Asks for the lines of a tile, to be there when its sums are.
  ///
  /// The processor fetches ahead along the two packed streams by itself, but not this: without it every
  /// tile waits for memory at its end.
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

/// The sums of one tile, two vectors a row.
private struct TileSums {
  private var a0 = Lanes.zero
  private var b0 = Lanes.zero
  private var a1 = Lanes.zero
  private var b1 = Lanes.zero
  private var a2 = Lanes.zero
  private var b2 = Lanes.zero
  private var a3 = Lanes.zero
  private var b3 = Lanes.zero
  private var a4 = Lanes.zero
  private var b4 = Lanes.zero
  private var a5 = Lanes.zero
  private var b5 = Lanes.zero

  @inline(__always)
  init() {}

  /// One step of all sums: six numbers of the left factor, sixteen of the right.
  @inline(__always)
  mutating func add(_ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>) {
    let first = load(right)
    let second = load(right + 8)
    fuse(&a0, &b0, left[0], first, second)
    fuse(&a1, &b1, left[1], first, second)
    fuse(&a2, &b2, left[2], first, second)
    fuse(&a3, &b3, left[3], first, second)
    fuse(&a4, &b4, left[4], first, second)
    fuse(&a5, &b5, left[5], first, second)
  }

  @inline(__always)
  func write(_ c: UnsafeMutablePointer<Float>, stride: Int) {
    storePair(a0, b0, c)
    storePair(a1, b1, c + stride)
    storePair(a2, b2, c + 2 * stride)
    storePair(a3, b3, c + 3 * stride)
    storePair(a4, b4, c + 4 * stride)
    storePair(a5, b5, c + 5 * stride)
  }

  @inline(__always)
  func join(_ c: UnsafeMutablePointer<Float>, stride: Int) {
    joinPair(a0, b0, c)
    joinPair(a1, b1, c + stride)
    joinPair(a2, b2, c + 2 * stride)
    joinPair(a3, b3, c + 3 * stride)
    joinPair(a4, b4, c + 4 * stride)
    joinPair(a5, b5, c + 5 * stride)
  }

  @inline(__always)
  private func joinPair(_ first: Lanes, _ second: Lanes, _ c: UnsafeMutablePointer<Float>) {
    storePair(load(c) + first, load(c + 8) + second, c)
  }
}

/// Adds one number times sixteen to a row of sums.
@inline(__always)
private func fuse(
  _ a: inout Lanes, _ b: inout Lanes, _ left: Float, _ first: Lanes, _ second: Lanes
) {
  let factor = Lanes(repeating: left)
  a = a.addingProduct(factor, first)
  b = b.addingProduct(factor, second)
}
