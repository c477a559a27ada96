package import Deterministic
import Host
package import Tensor

extension YosoShape {
  /// Normal vectors of the hyperplanes of all heads, `[planeRows, width]`, independent and normal.
  ///
  /// Element c of bit t of hash h is number `(h · bits + t) · width + c` of the head's stream, so
  /// that fewer hashes are a prefix of more. The numbers are `CounterRandom.gaussian` from the
  /// first 23 bits of its uniform numbers.
  ///
  /// - Parameters:
  ///   - width: Width of a head, D.
  ///   - random: The stream of a head.
  package func drawPlanes(width: Int, random: (_ head: Int) -> CounterRandom) -> View {
    let planes = View(rows: planeRows, columns: width)
    drawPlanes(into: planes, random: random)
    return planes
  }

  /// As ``drawPlanes(width:random:)``, into memory that is there.
  package func drawPlanes(into planes: View, random: (_ head: Int) -> CounterRandom) {
    precondition(
      planes.rows == planeRows && planes.isContiguous, "planes [\(planes.rows), \(planes.columns)]")
    let count = hashes * bits * planes.columns
    let streams = (0..<heads).map(random)
    let grain = 1 << 12
    let pieces = (count + grain - 1) / grain
    parallelFor(heads * pieces) { index in
      let first = index % pieces * grain
      fillNormal(
        planes.base + index / pieces * count + first, count: min(grain, count - first),
        from: streams[index / pieces], first: UInt64(first))
    }
  }
}

/// Normal numbers of a stream from an even number on, by Box and Muller, 16 at a time.
private func fillNormal(
  _ numbers: UnsafeMutablePointer<Float>, count: Int, from random: CounterRandom, first: UInt64
) {
  withUnsafeTemporaryAllocation(of: Float.self, capacity: 16) { rest in
    var index = 0
    while index < count {
      let next = first + UInt64(index)
      /// Uniform in [1, 2): 23 random bits of mantissa.
      @inline(__always) func word(_ offset: UInt64) -> Int32 {
        Int32(truncatingIfNeeded: random.bits(next + offset) >> 41) | 0x3F80_0000
      }
      let even = IntLanes(word(0), word(2), word(4), word(6), word(8), word(10), word(12), word(14))
      let odd = IntLanes(word(1), word(3), word(5), word(7), word(9), word(11), word(13), word(15))
      let radius = squareRoot(-2 * logarithm(2 - unsafeBitCast(even, to: Lanes.self)))
      let (cosine, sine) = turn(unsafeBitCast(odd, to: Lanes.self) - 1)
      let (c, s) = (radius * cosine, radius * sine)
      let low = Lanes(c[0], s[0], c[1], s[1], c[2], s[2], c[3], s[3])
      let high = Lanes(c[4], s[4], c[5], s[5], c[6], s[6], c[7], s[7])
      if index + 16 <= count {
        store(low, numbers + index)
        store(high, numbers + index + 8)
      } else if let rest = rest.baseAddress {
        store(low, rest)
        store(high, rest + 8)
        (numbers + index).update(from: rest, count: count - index)
      }
      index += 16
    }
  }
}

/// Natural logarithm of numbers in (0, 1], error below 2e-7 (Cephes `logf`).
@inline(__always)
private func logarithm(_ x: Lanes) -> Lanes {
  let bits = unsafeBitCast(x, to: IntLanes.self)
  // The exponent that leaves a mantissa between sqrt(1/2) and sqrt(2).
  let exponent = (bits &- 0x3F35_04F3) &>> 23
  let f = unsafeBitCast(bits &- (exponent &<< 23), to: Lanes.self) - 1
  let e = unsafeBitCast(exponent &+ 0x4B40_0000, to: Lanes.self) - 12_582_912
  let square = f * f
  var p = Lanes(repeating: 7.037_683_6e-2)
  p = Lanes(repeating: -1.151_461_0e-1).addingProduct(p, f)
  p = Lanes(repeating: 1.167_699_9e-1).addingProduct(p, f)
  p = Lanes(repeating: -1.242_014_1e-1).addingProduct(p, f)
  p = Lanes(repeating: 1.424_932_3e-1).addingProduct(p, f)
  p = Lanes(repeating: -1.666_805_8e-1).addingProduct(p, f)
  p = Lanes(repeating: 2.000_071_5e-1).addingProduct(p, f)
  p = Lanes(repeating: -2.499_999_4e-1).addingProduct(p, f)
  p = Lanes(repeating: 3.333_333_1e-1).addingProduct(p, f)
  let small = (p * f * square).addingProduct(e, Lanes(repeating: -2.121_944_4e-4))
  return (f + small.addingProduct(square, Lanes(repeating: -0.5)))
    .addingProduct(e, Lanes(repeating: 0.693_359_375))
}

/// Cosine and sine of a part of a full turn in [0, 1) (Cephes `sinf`, `cosf`).
@inline(__always)
private func turn(_ part: Lanes) -> (cosine: Lanes, sine: Lanes) {
  let shifted = part * 4 + 12_582_912
  let quarter = unsafeBitCast(shifted, to: IntLanes.self)
  let r = (part * 4 - (shifted - 12_582_912)) * 1.570_796_3
  let z = r * r
  var s = Lanes(repeating: -1.951_529_6e-4)
  s = Lanes(repeating: 8.332_160_9e-3).addingProduct(s, z)
  s = Lanes(repeating: -1.666_665_5e-1).addingProduct(s, z)
  let sine = r.addingProduct(s * z, r)
  var c = Lanes(repeating: 2.443_315_7e-5)
  c = Lanes(repeating: -1.388_731_6e-3).addingProduct(c, z)
  c = Lanes(repeating: 4.166_664_6e-2).addingProduct(c, z)
  let cosine = (1 - z * 0.5).addingProduct(c * z, z)
  // Odd quarters exchange the two; the signs follow from the second bit.
  let swap = IntLanes.zero &- (quarter & 1)
  let a = unsafeBitCast(cosine, to: IntLanes.self)
  let b = unsafeBitCast(sine, to: IntLanes.self)
  let cosineBits = (a & ~swap) | (b & swap)
  let sineBits = (b & ~swap) | (a & swap)
  return (
    unsafeBitCast(cosineBits ^ (((quarter &+ 1) & 2) &<< 30), to: Lanes.self),
    unsafeBitCast(sineBits ^ ((quarter & 2) &<< 30), to: Lanes.self)
  )
}
