/// Weights of YOSO attention from cosines, and their derivatives.
///
///     u = 1 - arccos(x) / π      w = u^bits
///
/// arccos is `sqrt(1 - |x|) p(|x|)` with the polynomial of degree 7 of Abramowitz and Stegun
/// 4.4.46 (error 2.2e-8), here divided by π; the other side follows from u(-x) = 1 - u(x).

/// `1 - arccos(x) / π`; cosines that rounding carried past ±1 count as ±1.
@inline(__always)
private func unitAngle(_ x: Lanes) -> Lanes {
  let bits = unsafeBitCast(x, to: IntLanes.self)
  let size = unsafeBitCast(bits & 0x7FFF_FFFF, to: Lanes.self)
  let rest = Lanes(repeating: 1) - size
  let root = squareRoot(rest.replacing(with: 0, where: rest .< 0))
  var p = Lanes(repeating: -0.000_401_863_40)
  p = Lanes(repeating: 0.002_123_155_62).addingProduct(p, size)
  p = Lanes(repeating: -0.005_439_319_31).addingProduct(p, size)
  p = Lanes(repeating: 0.009_833_191_13).addingProduct(p, size)
  p = Lanes(repeating: -0.015_970_977_19).addingProduct(p, size)
  p = Lanes(repeating: 0.028_322_891_35).addingProduct(p, size)
  p = Lanes(repeating: -0.068_308_920_11).addingProduct(p, size)
  p = Lanes(repeating: 0.499_999_993_06).addingProduct(p, size)
  let side = p * root
  return (1 - side).replacing(with: side, where: bits .< 0)
}

/// Square root of numbers that are not negative, relative error below 3e-7, 0 for 0.
///
/// `squareRoot()` of a vector becomes eight calls. The first guess is in the exponent (Kadlec's
/// constants, error 6.5e-4), one step of third order does the rest.
@inline(__always)
func squareRoot(_ x: Lanes) -> Lanes {
  let magic = IntLanes(repeating: 0x5F1F_FFF9)
  let guess = unsafeBitCast(magic &- (unsafeBitCast(x, to: IntLanes.self) &>> 1), to: Lanes.self)
  let inverse =
    guess * 0.703_952_25 * Lanes(repeating: 2.389_244_6).addingProduct(-(x * guess), guess)
  let root = x * inverse
  let error = Lanes(repeating: 1).addingProduct(-root, inverse)
  return root.addingProduct(root * error, Lanes(repeating: 0.5).addingProduct(error, 0.375))
}

/// `u` to a power of at least 1, from its highest bit down.
@inline(__always)
private func power(_ u: Lanes, _ exponent: Int) -> Lanes {
  var result = u
  var bit = (1 << (Int.bitWidth - 1 - exponent.leadingZeroBitCount)) >> 1
  while bit > 0 {
    result *= result
    if exponent & bit != 0 { result *= u }
    bit >>= 1
  }
  return result
}

/// Replaces cosines `[count, 16]` by weights times `unit`.
func yosoWeights(
  _ cosines: UnsafeMutablePointer<Float>, stride: Int, count: Int, bits: Int, unit: Float
) {
  for key in 0..<count {
    let row = cosines + key * stride
    let (x0, x1) = loadPair(row)
    storePair(
      power(unitAngle(x0), bits) * unit, power(unitAngle(x1), bits) * unit, row)
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
    for half in Swift.stride(from: 0, to: 16, by: 8) {
      let place = key * stride + half
      let x = load(cosines + place)
      let u = unitAngle(x)
      let below = bits > 1 ? power(u, bits - 1) : Lanes(repeating: 1)
      let square = (1 - x) * (1 + x)
      let sine = squareRoot(square.replacing(with: 1e-6, where: square .< 1e-6))
      store(below * u, cosines + place)
      store(load(slopes + place) * (below * factor / sine), slopes + place)
    }
  }
}

/// `slopes *= weights`, `[count, 16]`: the lower bound of the derivative, without bits / 2.
func multiplyByWeights(
  _ slopes: UnsafeMutablePointer<Float>, _ weights: UnsafePointer<Float>, stride: Int, count: Int
) {
  for key in 0..<count {
    let (s0, s1) = loadPair(slopes + key * stride)
    let (w0, w1) = loadPair(weights + key * stride)
    storePair(s0 * w0, s1 * w1, slopes + key * stride)
  }
}
