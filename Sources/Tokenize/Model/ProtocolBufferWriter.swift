/// The fields of a protocol buffer's message, one after the other.
struct ProtocolBufferWriter {
  private(set) var bytes: [UInt8] = []

  mutating func append(_ field: Int, _ value: Int) {
    append(integer: field << 3)
    append(integer: value)
  }

  mutating func append(_ field: Int, _ value: Float) {
    append(integer: field << 3 | 5)
    bytes += withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) }
  }

  mutating func append(_ field: Int, _ value: [UInt8]) {
    append(integer: field << 3 | 2)
    append(integer: value.count)
    bytes += value
  }

  private mutating func append(integer: Int) {
    var rest = UInt64(integer)
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }
}
