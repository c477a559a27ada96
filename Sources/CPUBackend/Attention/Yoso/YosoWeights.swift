/// Weights of YOSO attention from cosines, and their derivatives.
///
///     u = 1 - arccos(x) / π      w = u^bits
///
/// arccos is `sqrt(1 - |x|) p(|x|)` with the polynomial of degree 7 of Abramowitz and Stegun
/// 4.4.46 (error 2.2e-8), here divided by π; the other side follows from u(-x) = 1 - u(x).

/// `1 - arccos(x) / π`; cosines that rounding carried past ±1 count as ±1.
@inline(__always)
private func unitAngle(_ x: WideLanes) -> WideLanes {
  let size = unsafeBitCast(
    unsafeBitCast(x, to: WideIntLanes.self) & 0x7FFF_FFFF, to: WideLanes.self)
  let rest = WideLanes(repeating: 1) - size
  let root = squareRoot(rest.replacing(with: 0, where: rest .< 0))
  var p = WideLanes(repeating: -0.000_401_863_40)
  p = WideLanes(repeating: 0.002_123_155_62).addingProduct(p, size)
  p = WideLanes(repeating: -0.005_439_319_31).addingProduct(p, size)
  p = WideLanes(repeating: 0.009_833_191_13).addingProduct(p, size)
  p = WideLanes(repeating: -0.015_970_977_19).addingProduct(p, size)
  p = WideLanes(repeating: 0.028_322_891_35).addingProduct(p, size)
  p = WideLanes(repeating: -0.068_308_920_11).addingProduct(p, size)
  p = WideLanes(repeating: 0.499_999_993_06).addingProduct(p, size)
  let side = p * root
  return (1 - side).replacing(with: side, where: x .< 0)
}

/// Square root of numbers that are not negative, relative error below 3e-7, 0 for 0.
///
/// `squareRoot()` of a vector becomes a call for each lane. The first guess is in the exponent (Kadlec's
/// constants, error 6.5e-4), one step of third order does the rest.
@inline(__always)
func squareRoot(_ x: WideLanes) -> WideLanes {
  let magic = WideIntLanes(repeating: 0x5F1F_FFF9)
  let guess = unsafeBitCast(
    magic &- (unsafeBitCast(x, to: WideIntLanes.self) &>> 1), to: WideLanes.self)
  let inverse =
    guess * 0.703_952_25 * WideLanes(repeating: 2.389_244_6).addingProduct(-(x * guess), guess)
  let root = x * inverse
  let error = WideLanes(repeating: 1).addingProduct(-root, inverse)
  return root.addingProduct(root * error, WideLanes(repeating: 0.5).addingProduct(error, 0.375))
}

/// Square roots of eight numbers, by the same steps.
@inline(__always)
func squareRoot(_ x: Lanes) -> Lanes {
  squareRoot(WideLanes(lowHalf: x, highHalf: .zero)).lowHalf
}

/// `u` to a power of at least 1, from its highest bit down.
@inline(__always)
private func power(_ u: WideLanes, _ exponent: Int) -> WideLanes {
  var a = u
  var bit = (1 << (Int.bitWidth - 1 - exponent.leadingZeroBitCount)) >> 1
  while bit > 0 {
    a *= a
    if exponent & bit != 0 { a *= u }
    bit >>= 1
  }
  return a
}

/// Replaces cosines `[count, 16]` by weights times `unit`.
func yosoWeights(
  _ cosines: UnsafeMutablePointer<Float>, stride: Int, count: Int, bits: Int, unit: Float
) {
  for key in 0..<count {
    let row = cosines + key * stride
    store(power(unitAngle(loadWide(row)), bits) * unit, row)
  }
}

/// Replaces cosines `[count, 16]` by weights and multiplies `slopes` by their exact derivatives.
///
/// The derivative is singular at ±1, where the projection on the tangent removes it; the sine has
/// a floor of 1e-3.
func yosoWeightsAndSlopes(
  _ cosines: UnsafeMutablePointer<Float>, _ slopes: UnsafeMutablePointer<Float>, stride: Int,
  count: Int, bits: Int
) {
  let factor = Float(bits) / Float.pi
  for key in 0..<count {
    let cosine = loadWide(cosines + key * stride)
    let angle = unitAngle(cosine)
    let below = bits > 1 ? power(angle, bits - 1) : WideLanes(repeating: 1)
    store(below * angle, cosines + key * stride)
    store(
      loadWide(slopes + key * stride) * (below * factor / sine(cosine)), slopes + key * stride)
  }
}

/// `sin arccos x`, at least 1e-3.
@inline(__always)
private func sine(_ x: WideLanes) -> WideLanes {
  let square = (1 - x) * (1 + x)
  return squareRoot(square.replacing(with: 1e-6, where: square .< 1e-6))
}

/// `slopes *= weights`, `[count, 16]`: the lower bound of the derivative, without bits / 2.
func multiplyByWeights(
  _ slopes: UnsafeMutablePointer<Float>, _ weights: UnsafePointer<Float>, stride: Int, count: Int
) {
  for key in 0..<count {
    store(loadWide(slopes + key * stride) * loadWide(weights + key * stride), slopes + key * stride)
  }
}
