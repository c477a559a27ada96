import Storage

/// The bytes of one event, and of the record around it.
///
/// Source: `event.proto` and `summary.proto` of TensorFlow for the message;
/// `tensorflow/core/lib/io/record_writer.h` for the record: length, masked CRC-32C of the length,
/// message, masked CRC-32C of the message, all little-endian.
package enum EventRecord {
  /// Bytes of a record beside its message.
  static let frameBytes = 16

  private static let versionText = Array("brain.Event:2".utf8)

  // MARK: Messages

  /// The first event of every file.
  package static func version(wallTime: Double) -> [UInt8] {
    fixed64(field: 1, wallTime.bitPattern) + bytes(field: 3, versionText)
  }

  /// An event with one scalar for every tag.
  package static func scalars(
    _ values: [(tag: String, value: Double)], step: Int, wallTime: Double
  ) -> [UInt8] {
    let summary = values.flatMap { value in
      bytes(
        field: 1,
        bytes(field: 1, Array(value.tag.utf8))
          + fixed32(field: 2, Float(value.value).bitPattern))
    }
    return fixed64(field: 1, wallTime.bitPattern) + key(2, wire: 0)
      + varint(UInt64(bitPattern: Int64(step))) + bytes(field: 5, summary)
  }

  /// A message as a record.
  package static func framed(_ message: [UInt8]) -> [UInt8] {
    let length = littleEndian(UInt64(message.count), 8)
    return length + littleEndian(UInt64(CRC32C.masked(of: length)), 4) + message
      + littleEndian(UInt64(CRC32C.masked(of: message)), 4)
  }

  private static func bytes(field: Int, _ content: [UInt8]) -> [UInt8] {
    key(field, wire: 2) + varint(UInt64(content.count)) + content
  }

  private static func fixed64(field: Int, _ value: UInt64) -> [UInt8] {
    key(field, wire: 1) + littleEndian(value, 8)
  }

  private static func fixed32(field: Int, _ value: UInt32) -> [UInt8] {
    key(field, wire: 5) + littleEndian(UInt64(value), 4)
  }

  private static func key(_ field: Int, wire: Int) -> [UInt8] {
    varint(UInt64(field << 3 | wire))
  }

  private static func varint(_ value: UInt64) -> [UInt8] {
    var rest = value
    var result: [UInt8] = []
    while rest > 0x7F {
      result.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    return result + [UInt8(rest)]
  }

  private static func littleEndian(_ value: UInt64, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
  }

  // MARK: Reading back

  /// Whether a message is the first of a file.
  static func isVersion(_ message: ArraySlice<UInt8>) -> Bool {
    message.suffix(versionText.count).elementsEqual(versionText)
  }

  /// Ends of tags that earlier versions wrote, and what has taken the place of each.
  private static let earlierTags = [
    ("/nats_per_piece", "/nats_per_token"), ("/pieces_per_second", "/tokens_per_second"),
    ("/pieces", "/tokens"),
  ].map { (earlier: Array($0.0.utf8), today: Array($0.1.utf8)) }

  /// A message with other tags of the same length in the place of earlier ones; nil if it has none.
  static func withTagsOfToday(_ message: ArraySlice<UInt8>) -> [UInt8]? {
    var result = Array(message)
    for (earlier, today) in earlierTags {
      while let place = result.firstRange(of: earlier) {
        result.replaceSubrange(place, with: today)
      }
    }
    return result == Array(message) ? nil : result
  }

  /// The step of a message as this program writes it: behind the wall time, or 0.
  static func step(of message: ArraySlice<UInt8>) -> Int {
    var rest = message.dropFirst(9)
    guard rest.popFirst() == 0x10 else { return 0 }
    var value: UInt64 = 0
    for shift in stride(from: 0 as UInt64, to: 64, by: 7) {
      guard let byte = rest.popFirst() else { return 0 }
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { break }
    }
    return Int(truncatingIfNeeded: value)
  }
}

/// The messages of an event file up to the first record that is damaged or cut short.
struct EventRecords: Sequence, IteratorProtocol {
  private var rest: ArraySlice<UInt8>
  /// The sum that ended the sequence, if one did not hold.
  private(set) var problem: String?

  /// Bytes behind the last message.
  var left: Int { rest.count }

  init(_ bytes: ArraySlice<UInt8>) {
    rest = bytes
  }

  mutating func next() -> ArraySlice<UInt8>? {
    guard problem == nil, rest.count >= 12 else { return nil }
    let length = rest.prefix(8)
    guard Self.number(rest.dropFirst(8).prefix(4)) == UInt64(CRC32C.masked(of: length)) else {
      problem = "the sum of the length"
      return nil
    }
    let count = Self.number(length)
    guard rest.count >= EventRecord.frameBytes,
      count <= UInt64(rest.count - EventRecord.frameBytes)
    else { return nil }
    let message = rest.dropFirst(12).prefix(Int(count))
    let sum = rest.dropFirst(12 + Int(count)).prefix(4)
    guard Self.number(sum) == UInt64(CRC32C.masked(of: message)) else {
      problem = "the sum"
      return nil
    }
    rest = rest.dropFirst(EventRecord.frameBytes + Int(count))
    return message
  }

  private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
    bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }
}
