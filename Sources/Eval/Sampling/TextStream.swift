/// Decodes UTF-8 that arrives in parts, holding back a character until it is complete.
///
/// The parts together are `String(decoding:as:)` of all bytes: what is no UTF-8 becomes `�`.
package struct TextStream: Sendable {
  private var waiting: [UInt8] = []

  package init() {}

  /// Appends bytes.
  ///
  /// - Returns: The text that is certain now.
  package mutating func append(_ bytes: some Sequence<UInt8>) -> String {
    waiting += bytes
    let whole = waiting.count - Self.unfinished(waiting)
    defer { waiting.removeFirst(whole) }
    return String(decoding: waiting[..<whole], as: UTF8.self)
  }

  /// What was held back at the end.
  package mutating func finish() -> String {
    defer { waiting = [] }
    return String(decoding: waiting, as: UTF8.self)
  }

  /// Bytes at the end that may begin a character of more bytes.
  private static func unfinished(_ bytes: [UInt8]) -> Int {
    for count in 1...3 where count <= bytes.count {
      let byte = bytes[bytes.count - count]
      if byte & 0xC0 == 0x80 { continue }
      let length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
      return length > count ? count : 0
    }
    return 0
  }
}
