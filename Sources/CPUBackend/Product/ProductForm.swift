import CProcessor

/// How the operands of a matrix product are packed and multiplied.
///
/// Products in bfloat16 have the bits of the instruction that multiplies pairs (VDPBF16PS): operands are
/// rounded to nearest, ties to even; a sum takes of each pair of terms the second, then the first, each
/// product exact and each sum rounded to a float; and what is below 2⁻¹²⁶ is zero. A processor without that
/// instruction gets them by fused multiply-adds of rounded floats, at the speed of float32, and so does one
/// where the instruction is slower than these: on Emerald Rapids it does half of their work in the same time.
enum ProductForm: Sendable {
  /// Floats as they are.
  case float32
  /// Pairs of bfloat16 in one word, two terms of a sum with one instruction.
  case pairs
  /// Floats rounded to bfloat16, the neighbours of each pair exchanged.
  case rounded

  #if AVX512
    /// Whether the instruction is there and does what it is said to do: other makers' processors may come.
    static let hasPairs = cp_has_bfloat16_pairs() != 0 && TrialTile.pairsHaveTheBitsOfRounded()
    /// The faster form of products in bfloat16 on this processor.
    static let bfloat16: ProductForm =
      hasPairs && TrialTile.pairsSaveTime() ? .pairs : .rounded
  #else
    static let hasPairs = false
    static let bfloat16 = ProductForm.rounded
  #endif

  /// Words of a packed row or column of so many terms.
  func steps(_ k: Int) -> Int {
    switch self {
    case .float32: k
    case .pairs: (k + 1) / 2
    case .rounded: (k + 1) / 2 * 2
    }
  }
}

/// The nearest bfloat16, ties to even; what is below 2⁻¹²⁶ becomes zero.
@inline(__always)
func roundedToBFloat16(_ x: WideLanes) -> WideLanes {
  typealias Bits = SIMD16<UInt32>
  let bits = unsafeBitCast(x, to: Bits.self)
  let upper = Bits(repeating: 0xFFFF_0000)
  let odd = (bits &>> 16) & Bits(repeating: 1)
  let exponent = bits & Bits(repeating: 0x7F80_0000)
  var rounded = (bits &+ Bits(repeating: 0x7FFF) &+ odd) & upper
  rounded.replace(
    with: bits & Bits(repeating: 0x8000_0000), where: exponent .== Bits(repeating: 0))
  // Infinity stays; what is no number must not become one.
  let isNumber = (bits & Bits(repeating: 0x7FFF_FFFF)) .<= Bits(repeating: 0x7F80_0000)
  rounded.replace(
    with: (bits & upper) | Bits(repeating: 0x0040_0000), where: .!isNumber)
  return unsafeBitCast(rounded, to: WideLanes.self)
}

/// The same of one number.
@inline(__always)
func roundedToBFloat16(_ x: Float) -> Float {
  let bits = x.bitPattern
  if bits & 0x7F80_0000 == 0 { return Float(bitPattern: bits & 0x8000_0000) }
  if bits & 0x7FFF_FFFF > 0x7F80_0000 {
    return Float(bitPattern: (bits & 0xFFFF_0000) | 0x0040_0000)
  }
  return Float(bitPattern: (bits &+ 0x7FFF &+ (bits &>> 16 & 1)) & 0xFFFF_0000)
}
