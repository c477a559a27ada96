/// The sums of a tile of six rows and sixteen columns, two vectors a row: what every matrix product
/// keeps in registers.
///
/// Twelve accumulators, two vectors of B and one number of A take fifteen of sixteen registers.
/// Everything is always inlined, since a call in an innermost loop would spill them all. The loops
/// around it differ by where A and B lie.
struct TileSums {
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

  /// The sums so far, six rows of C.
  @inline(__always)
  init(loading c: UnsafePointer<Float>, stride: Int) {
    (a0, b0) = loadPair(c)
    (a1, b1) = loadPair(c + stride)
    (a2, b2) = loadPair(c + 2 * stride)
    (a3, b3) = loadPair(c + 3 * stride)
    (a4, b4) = loadPair(c + 4 * stride)
    (a5, b5) = loadPair(c + 5 * stride)
  }

  /// One term of every sum, fused: a row of B times a number of A for each row of C.
  @inline(__always)
  mutating func add(
    _ row: (Lanes, Lanes), _ n0: Float, _ n1: Float, _ n2: Float, _ n3: Float, _ n4: Float,
    _ n5: Float
  ) {
    fuse(&a0, &b0, n0, row.0, row.1)
    fuse(&a1, &b1, n1, row.0, row.1)
    fuse(&a2, &b2, n2, row.0, row.1)
    fuse(&a3, &b3, n3, row.0, row.1)
    fuse(&a4, &b4, n4, row.0, row.1)
    fuse(&a5, &b5, n5, row.0, row.1)
  }

  /// Writes the rows of C.
  @inline(__always)
  func write(_ c: UnsafeMutablePointer<Float>, stride: Int) {
    storePair(a0, b0, c)
    storePair(a1, b1, c + stride)
    storePair(a2, b2, c + 2 * stride)
    storePair(a3, b3, c + 3 * stride)
    storePair(a4, b4, c + 4 * stride)
    storePair(a5, b5, c + 5 * stride)
  }

  /// Adds the sums to the rows of C.
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
func fuse(_ c0: inout Lanes, _ c1: inout Lanes, _ a: Float, _ b0: Lanes, _ b1: Lanes) {
  let broadcast = Lanes(repeating: a)
  c0 = c0.addingProduct(broadcast, b0)
  c1 = c1.addingProduct(broadcast, b1)
}

/// Loads the two vectors of one panel row.
@inline(__always)
func loadPair(_ pointer: UnsafePointer<Float>) -> (Lanes, Lanes) {
  (load(pointer), load(pointer + 8))
}

/// Stores the two vectors of one panel row.
@inline(__always)
func storePair(_ first: Lanes, _ second: Lanes, _ pointer: UnsafeMutablePointer<Float>) {
  store(first, pointer)
  store(second, pointer + 8)
}
