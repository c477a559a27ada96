/// Weights of YOSO attention from cosines, and their derivatives.
///
///     u = 1 - arccos(x) / π      w = u^bits
///
/// arccos is `sqrt(1 - |x|) p(|x|)` with the polynomial of degree 7 of Abramowitz and Stegun
/// 4.4.46 (error 2.2e-8), here divided by π; the other side follows from u(-x) = 1 - u(x).

/// `1 - arccos(x) / π`; cosines that rounding carried past ±1 count as ±1.
@inline(__always)
private func unitAngle(_ x: Lanes) -> Lanes {
  let size = unsafeBitCast(unsafeBitCast(x, to: IntLanes.self) & 0x7FFF_FFFF, to: Lanes.self)
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
  return (1 - side).replacing(with: side, where: x .< 0)
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

/// `u` and `v` to a power of at least 1, from its highest bit down.
@inline(__always)
private func power(_ u: Lanes, _ v: Lanes, _ exponent: Int) -> (Lanes, Lanes) {
  var (a, b) = (u, v)
  var bit = (1 << (Int.bitWidth - 1 - exponent.leadingZeroBitCount)) >> 1
  while bit > 0 {
    a *= a
    b *= b
    if exponent & bit != 0 {
      a *= u
      b *= v
    }
    bit >>= 1
  }
  return (a, b)
}

/// Replaces cosines `[count, 16]` by weights times `unit`.
func yosoWeights(
  _ cosines: UnsafeMutablePointer<Float>, stride: Int, count: Int, bits: Int, unit: Float
) {
  for key in 0..<count {
    let row = cosines + key * stride
    let (x0, x1) = loadPair(row)
    let (w0, w1) = power(unitAngle(x0), unitAngle(x1), bits)
    storePair(w0 * unit, w1 * unit, row)
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
    let (x0, x1) = loadPair(cosines + key * stride)
    let (u0, u1) = (unitAngle(x0), unitAngle(x1))
    var below = (Lanes(repeating: 1), Lanes(repeating: 1))
    if bits > 1 { below = power(u0, u1, bits - 1) }
    storePair(below.0 * u0, below.1 * u1, cosines + key * stride)
    let (g0, g1) = loadPair(slopes + key * stride)
    storePair(
      g0 * (below.0 * factor / sine(x0)), g1 * (below.1 * factor / sine(x1)),
      slopes + key * stride)
  }
}

/// `sin arccos x`, at least 1e-3.
@inline(__always)
private func sine(_ x: Lanes) -> Lanes {
  let square = (1 - x) * (1 + x)
  return squareRoot(square.replacing(with: 1e-6, where: square .< 1e-6))
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
