/// The types of numbers that memory and files hold, by their names in a safetensors file.
package enum NumberType: String, Sendable {
  case float64 = "F64"
  case float32 = "F32"
  /// The upper half of a float32.
  case brain16 = "BF16"
  /// IEEE 754 binary16.
  case half = "F16"

  /// The type of weights in a file, if every number of it is a float32.
  package init?(ofWeights name: String) {
    guard let type = NumberType(rawValue: name), type != .float64 else { return nil }
    self = type
  }

  /// Bytes of one number.
  package var bytes: Int {
    switch self {
    case .float64: 8
    case .float32: 4
    case .brain16, .half: 2
    }
  }

  /// Copies little-endian numbers into floats, which hold each of them exactly.
  ///
  /// - Parameters:
  ///   - source: As many numbers as `target` takes.
  ///   - target: Where they are written.
  package func widen(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableBufferPointer<Float>
  ) {
    switch self {
    case .float64: preconditionFailure("a double is no float32")
    case .float32: UnsafeMutableRawBufferPointer(target).copyMemory(from: source)
    case .brain16:
      Self.convert(source, into: target) { Float(bitPattern: UInt32($0) << 16) }
    case .half: Self.convert(source, into: target, Self.float(half:))
    }
  }

  private static func convert(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableBufferPointer<Float>,
    _ convert: (UInt16) -> Float
  ) {
    precondition(source.count == 2 * target.count)
    for index in target.indices {
      let bits = source.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self)
      target[index] = convert(UInt16(littleEndian: bits))
    }
  }

  /// The value of the bits of a binary16; Swift has no such type on every platform.
  package static func float(half bits: UInt16) -> Float {
    let sign = UInt32(bits & 0x8000) << 16
    let exponent = UInt32(bits >> 10) & 0x1F
    let fraction = UInt32(bits & 0x3FF)
    switch exponent {
    case 0:
      // Zero and subnormal numbers: multiples of 2⁻²⁴, each a normal float.
      let value = Float(fraction) * 0x1p-24
      return sign == 0 ? value : -value
    case 0x1F: return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13)
    default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
    }
  }
}
