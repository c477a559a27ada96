/// The sums of six rows and sixteen columns of a product whose operands are read where they lie.
///
/// They stay in registers; the tile of packed panels is in `Tile.c`. A row of sums is one register of AVX-512 or two of AVX2. Of these, twelve sums, two vectors of B and
/// one number of A take fifteen of sixteen; AVX-512 has room for four times as many sums, in 24 of 32.
/// Everything is always inlined, since a call in an innermost loop would spill them all. The loops
/// around it differ by where A and B lie.
struct TileSums {
  private var s0 = WideLanes.zero
  private var s1 = WideLanes.zero
  private var s2 = WideLanes.zero
  private var s3 = WideLanes.zero
  private var s4 = WideLanes.zero
  private var s5 = WideLanes.zero

  @inline(__always)
  init() {}

  /// The sums so far, six rows of C.
  @inline(__always)
  init(loading c: UnsafePointer<Float>, stride: Int) {
    s0 = loadWide(c)
    s1 = loadWide(c + stride)
    s2 = loadWide(c + 2 * stride)
    s3 = loadWide(c + 3 * stride)
    s4 = loadWide(c + 4 * stride)
    s5 = loadWide(c + 5 * stride)
  }

  /// One term of every sum, fused: a row of B times a number of A for each row of C.
  @inline(__always)
  mutating func add(
    _ row: WideLanes, _ n0: Float, _ n1: Float, _ n2: Float, _ n3: Float, _ n4: Float, _ n5: Float
  ) {
    fuse(&s0, n0, row)
    fuse(&s1, n1, row)
    fuse(&s2, n2, row)
    fuse(&s3, n3, row)
    fuse(&s4, n4, row)
    fuse(&s5, n5, row)
  }

  /// The same for two panels of B, number after number, so that none is held for long in a register.
  @inline(__always)
  static func add(
    _ left: inout TileSums, _ right: inout TileSums, _ row: WideLanes, _ next: WideLanes,
    _ n0: Float, _ n1: Float, _ n2: Float, _ n3: Float, _ n4: Float, _ n5: Float
  ) {
    fuse(&left.s0, &right.s0, n0, row, next)
    fuse(&left.s1, &right.s1, n1, row, next)
    fuse(&left.s2, &right.s2, n2, row, next)
    fuse(&left.s3, &right.s3, n3, row, next)
    fuse(&left.s4, &right.s4, n4, row, next)
    fuse(&left.s5, &right.s5, n5, row, next)
  }

  /// Writes the rows of C.
  @inline(__always)
  func write(_ c: UnsafeMutablePointer<Float>, stride: Int) {
    store(s0, c)
    store(s1, c + stride)
    store(s2, c + 2 * stride)
    store(s3, c + 3 * stride)
    store(s4, c + 4 * stride)
    store(s5, c + 5 * stride)
  }
}

/// Adds one number times two rows of sixteen to the sums of both.
@inline(__always)
func fuse(
  _ c: inout WideLanes, _ d: inout WideLanes, _ a: Float, _ b: WideLanes, _ next: WideLanes
) {
  let factor = WideLanes(repeating: a)
  c = c.addingProduct(factor, b)
  d = d.addingProduct(factor, next)
}

/// Adds one number times sixteen to a row of sums.
@inline(__always)
func fuse(_ c: inout WideLanes, _ a: Float, _ b: WideLanes) {
  c = c.addingProduct(WideLanes(repeating: a), b)
}
