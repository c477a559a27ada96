/// Pieces of protocol buffers, to change a model: what is appended to a message adds to it.
enum WireFormat {
  static func field(_ number: Int, _ value: Int) -> [UInt8] {
    integer(number << 3) + integer(value)
  }

  static func field(_ number: Int, _ bytes: [UInt8]) -> [UInt8] {
    integer(number << 3 | 2) + integer(bytes.count) + bytes
  }

  /// One more piece of a model; `types` are written one after the other.
  static func piece(_ text: String, score: Float, types: [Int]) -> [UInt8] {
    let score = withUnsafeBytes(of: score.bitPattern.littleEndian) { Array($0) }
    let kinds = types.flatMap { field(3, $0) }
    return field(1, field(1, Array(text.utf8)) + integer(2 << 3 | 5) + score + kinds)
  }

  static func piece(_ text: String, score: Float, type: Int = 1) -> [UInt8] {
    piece(text, score: score, types: [type])
  }

  /// A change to the trainer's part of a model.
  static func trainer(_ number: Int, _ text: String) -> [UInt8] {
    field(2, field(number, Array(text.utf8)))
  }

  /// A change to the trainer's part of a model.
  static func trainer(_ number: Int, _ value: Int) -> [UInt8] { field(2, field(number, value)) }

  /// A change to the normaliser's part of a model.
  static func normalizer(_ number: Int, _ value: Int) -> [UInt8] { field(3, field(number, value)) }

  private static func integer(_ value: Int) -> [UInt8] {
    var rest = value
    var bytes: [UInt8] = []
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7F) | 0x80)
      rest >>= 7
    }
    return bytes + [UInt8(rest)]
  }
}
