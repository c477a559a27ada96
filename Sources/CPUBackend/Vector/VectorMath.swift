import CProcessor

/// Eight floats, one register of AVX2: the vector of sums over lanes, whose order is theirs.
package typealias Lanes = SIMD8<Float>

/// Integer lanes of the same width, for bit casts.
package typealias IntLanes = SIMD8<Int32>

/// Sixteen floats, one register of AVX-512 or two of AVX2: wherever lanes are independent, so that
/// the width of a register changes no bit.
package typealias WideLanes = SIMD16<Float>

/// Integer lanes of the same width.
package typealias WideIntLanes = SIMD16<Int32>

/// Loads eight floats from any address.
@inline(__always)
package func load(_ pointer: UnsafePointer<Float>) -> Lanes {
  UnsafeRawPointer(pointer).loadUnaligned(as: Lanes.self)
}

/// Loads sixteen floats from any address.
@inline(__always)
package func loadWide(_ pointer: UnsafePointer<Float>) -> WideLanes {
  UnsafeRawPointer(pointer).loadUnaligned(as: WideLanes.self)
}

/// Stores sixteen floats at any address.
@inline(__always)
package func store(_ value: WideLanes, _ pointer: UnsafeMutablePointer<Float>) {
  UnsafeMutableRawPointer(pointer).storeBytes(of: value, as: WideLanes.self)
}

/// Stores eight floats at any address.
@inline(__always)
package func store(_ value: Lanes, _ pointer: UnsafeMutablePointer<Float>) {
  UnsafeMutableRawPointer(pointer).storeBytes(of: value, as: Lanes.self)
}

/// Sum of the lanes by halves: three additions one after another instead of seven.
@inline(__always)
package func horizontalSum(_ value: Lanes) -> Float {
  let four = value.lowHalf + value.highHalf
  let two = four.lowHalf + four.highHalf
  return two.x + two.y
}

/// Lane-wise maximum; `pointwiseMax` compiles to scalar code.
@inline(__always)
package func maximum(_ a: Lanes, _ b: Lanes) -> Lanes {
  a.replacing(with: b, where: b .> a)
}

/// Lane-wise maximum; where a lane of `b` is no number, that of `a`.
@inline(__always)
package func maximum(_ a: WideLanes, _ b: WideLanes) -> WideLanes {
  a.replacing(with: b, where: b .> a)
}

/// Largest lane.
@inline(__always)
package func horizontalMax(_ value: Lanes) -> Float {
  let high = value.highHalf
  let low = value.lowHalf
  let four = low.replacing(with: high, where: high .> low)
  let two = four.lowHalf.replacing(with: four.highHalf, where: four.highHalf .> four.lowHalf)
  return two.x > two.y ? two.x : two.y
}

/// e to the power of every lane, relative error below 2e-7.
///
/// Range reduction `x = n ln 2 + r` by the magic-number rounding, a polynomial of degree 6 for
/// `e^r` (Cephes `expf`), then n added into the exponent field. Below -87.33 the result is exactly
/// 0, so that masked scores of -infinity vanish; above 88.37 it stays at the value there. NaN
/// stays NaN.
@inline(__always)
package func exponential(_ x: WideLanes) -> WideLanes { cp_whole(cp_exponential(x)) }

/// e to the power of one number, by the same steps as the lanes, so that a tail element gets the
/// same bits as it would in a vector.
@inline(__always)
package func exponential(_ x: Float) -> Float {
  cp_exponential(WideLanes(repeating: x))[0]
}

/// e to the power of eight lanes; the compiler leaves out the others, or computes them for nothing.
@inline(__always)
package func exponential(_ x: Lanes) -> Lanes {
  cp_exponential(WideLanes(lowHalf: x, highHalf: .zero)).lowHalf
}
