/// Reads the fields of a protocol buffer message one after the other, where they lie.
struct ProtocolBufferReader {
  enum Value {
    case integer(UInt64)
    case bytes(UnsafeRawBufferPointer)
    case fixed32(UInt32)
    case fixed64
  }

  /// Whether what was read last was no field.
  private(set) var isMalformed = false
  private let message: UnsafeRawBufferPointer
  private var offset = 0

  init(_ message: UnsafeRawBufferPointer) { self.message = message }

  /// The next field, or nothing at the end and where the message is malformed.
  mutating func next() -> (number: Int, value: Value)? {
    if offset == message.count { return nil }
    guard let key = integer(), key >> 3 <= 1 << 29, let value = value(ofType: key & 7) else {
      isMalformed = true
      return nil
    }
    return (Int(key >> 3), value)
  }

  private mutating func value(ofType type: UInt64) -> Value? {
    switch type {
    case 0:
      return integer().map(Value.integer)
    case 1:
      return readBytes(8).map { _ in .fixed64 }
    case 2:
      guard let count = integer(), count <= UInt64(message.count) else { return nil }
      return readBytes(Int(count)).map(Value.bytes)
    case 5:
      return readBytes(4).map { .fixed32(UInt32(littleEndian: $0.loadUnaligned(as: UInt32.self))) }
    default:
      return nil
    }
  }

  private mutating func readBytes(_ count: Int) -> UnsafeRawBufferPointer? {
    if count > message.count - offset { return nil }
    defer { offset += count }
    return UnsafeRawBufferPointer(rebasing: message[offset..<offset + count])
  }

  private mutating func integer() -> UInt64? {
    var value: UInt64 = 0
    for shift in stride(from: 0, to: 64, by: 7) {
      if offset == message.count { return nil }
      let byte = message[offset]
      offset += 1
      value |= UInt64(byte & 0x7F) << UInt64(shift)
      if byte < 0x80 { return value }
    }
    return nil
  }
}
