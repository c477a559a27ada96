import CProcessor

/// The micro-kernel of every large matrix product: a tile of six rows and sixteen columns of packed
/// panels.
enum MicroKernel {
  static let rows = 6
  static let columns = 16

  /// Cuts K into k-blocks, each summed in registers before it reaches memory.
  ///
  /// A packed panel of B is then 16 KiB, half of L1. The cut follows from K alone, so all products
  /// with the same K round alike.
  static func kBlocks(_ k: Int) -> Partition { Partition(k, near: 256, multipleOf: 8) }

  /// `C (+)= A B` for one tile; every element is a sum of fused multiply-adds in the order of k.
  ///
  /// - Parameters:
  ///   - c: First element of the tile.
  ///   - stride: Floats from a row of C to the next.
  ///   - a: Packed panel `[k, 6]`.
  ///   - b: Packed panel `[k, 16]`.
  ///   - k: Terms of the sums.
  ///   - rows: Rows of the tile that exist, at most 6.
  ///   - columns: Columns of the tile that exist, at most 16.
  ///   - accumulate: Whether the sums are added to C or replace it.
  static func multiply(
    _ c: UnsafeMutablePointer<Float>, stride: Int, a: UnsafePointer<Float>,
    b: UnsafePointer<Float>, k: Int, rows: Int, columns: Int, accumulate: Bool
  ) {
    prefetch(c, stride: stride)
    var running = TileSums()
    var a = a
    var b = b
    for _ in 0..<k / 4 {
      running.add(a, b)
      running.add(a + 6, b + 16)
      running.add(a + 12, b + 32)
      running.add(a + 18, b + 48)
      a += 24
      b += 64
    }
    for _ in 0..<k % 4 {
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

  /// Prefetches the tile of C, so that it is in cache when the sums are ready.
  ///
  /// The processor prefetches the two packed panels by itself, but not C: every tile would wait for
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

extension TileSums {
  /// One term of every sum, from six numbers of A and sixteen of B, packed.
  @inline(__always)
  fileprivate mutating func add(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>) {
    add(loadPair(b), a[0], a[1], a[2], a[3], a[4], a[5])
  }
}
