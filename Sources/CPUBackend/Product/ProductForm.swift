import CProcessor

/// How the operands of a matrix product are packed and multiplied.
///
/// Products in bfloat16 have the bits of the instruction that multiplies pairs (VDPBF16PS): operands are
/// rounded to nearest, ties to even; a sum takes of each pair of terms the second, then the first, each
/// product exact and each sum rounded to a float; and what is below 2⁻¹²⁶ is zero. A processor without that
/// instruction gets them by fused multiply-adds of rounded floats, at the speed of float32.
enum ProductForm: Sendable {
  /// Floats as they are.
  case float32
  /// Pairs of bfloat16 in one word, two terms of a sum with one instruction.
  case pairs
  /// Floats rounded to bfloat16, the neighbours of each pair exchanged.
  case rounded

  /// The form of products in bfloat16 on this processor.
  static var bfloat16: ProductForm {
    #if AVX512
      hasPairs ? .pairs : .rounded
    #else
      .rounded
    #endif
  }

  #if AVX512
    /// Whether the instruction is there and does what it is said to do: other makers' processors may come.
    private static let hasPairs = cp_has_bfloat16_pairs() != 0 && pairsHaveTheBitsOfRounded()
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

/// Rounds two rows of a panel after another to bfloat16 and exchanges them; without a second row that is zero.
///
/// - Parameters:
///   - panel: `[count, width]`, with room for one row more where the count is odd.
///   - count: Rows.
///   - width: 6 or 16.
@inline(__always)
func roundPairs(_ panel: UnsafeMutablePointer<Float>, count: Int, width: Int) {
  if count % 2 == 1 { (panel + count * width).update(repeating: 0, count: width) }
  for row in Swift.stride(from: 0, to: count, by: 2) {
    let first = panel + row * width
    let second = first + width
    if width == 16 {
      let (a, b) = (loadWide(first), loadWide(second))
      store(roundedToBFloat16(b), first)
      store(roundedToBFloat16(a), second)
    } else {
      for column in 0..<width {
        let (a, b) = (first[column], second[column])
        first[column] = roundedToBFloat16(b)
        second[column] = roundedToBFloat16(a)
      }
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

#if AVX512
  /// Multiplies one tile both ways, with sums that lose digits at every term and some that are subnormal.
  private func pairsHaveTheBitsOfRounded() -> Bool {
    let k = 64
    let (rows, columns) = (MicroKernel.rows, MicroKernel.columns)
    func numbers(_ count: Int, seed: UInt32) -> [Float] {
      var state = seed
      return (0..<count).map { index in
        state = state &* 1_664_525 &+ 1_013_904_223
        let mantissa = Float(Int32(bitPattern: state) >> 8) * 0x1p-23
        return mantissa * (index % 7 == 0 ? 0x1p-70 : index % 5 == 0 ? 0x1p6 : 1)
      }
    }
    let a = numbers(k * rows, seed: 1)
    let b = numbers(k * columns, seed: 2)
    var results: [[UInt32]] = []
    for form in [ProductForm.pairs, .rounded] {
      var panelA = a + [0, 0]
      var panelB = b
      var c = [Float](repeating: 0, count: rows * columns)
      panelA.withUnsafeMutableBufferPointer { panelA in
        panelB.withUnsafeMutableBufferPointer { panelB in
          c.withUnsafeMutableBufferPointer { c in
            guard let pa = panelA.baseAddress, let pb = panelB.baseAddress, let pc = c.baseAddress
            else { return }
            if form == .pairs {
              a.withUnsafeBufferPointer {
                packPairsDown(
                  $0.baseAddress ?? UnsafePointer(pa), stride: rows, rows: k, count: rows,
                  width: rows, into: pa)
              }
              b.withUnsafeBufferPointer {
                packPairsDown(
                  $0.baseAddress ?? UnsafePointer(pb), stride: columns, rows: k, count: columns,
                  width: columns, into: pb)
              }
            } else {
              roundPairs(pa, count: k, width: rows)
              roundPairs(pb, count: k, width: columns)
            }
            let before = cp_flush_subnormals()
            MicroKernel.multiply(
              pc, stride: columns, a: pa, b: pb, k: form.steps(k), rows: rows, columns: columns,
              accumulate: false, form: form)
            cp_keep_subnormals(before)
          }
        }
      }
      results.append(c.map(\.bitPattern))
    }
    return results[0] == results[1]
  }
#endif

/// Rows of memory as a panel of pairs; see `cp_pack_pairs_down`.
@inline(__always)
func packPairsDown(
  _ from: UnsafePointer<Float>, stride: Int, rows: Int, count: Int, width: Int,
  into panel: UnsafeMutablePointer<Float>
) {
  #if AVX512
    let words = UnsafeMutableRawPointer(panel).assumingMemoryBound(to: UInt32.self)
    cp_pack_pairs_down(from, stride, rows, Int32(count), Int32(width), words)
  #else
    preconditionFailure("kernels over eight lanes have no pairs")
  #endif
}

/// Rows that lie across as a panel of pairs; see `cp_pack_pairs_across`.
@inline(__always)
func packPairsAcross(
  _ from: UnsafePointer<Float>, stride: Int, last: Int, k: Int, width: Int,
  into panel: UnsafeMutablePointer<Float>
) {
  #if AVX512
    let words = UnsafeMutableRawPointer(panel).assumingMemoryBound(to: UInt32.self)
    cp_pack_pairs_across(from, stride, last, k, Int32(width), words)
  #else
    preconditionFailure("kernels over eight lanes have no pairs")
  #endif
}
