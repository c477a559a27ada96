import Deterministic
import Tensor

/// Changes valid bytes in the ways that break readers, from a seed.
struct Mutator {
  private let random: CounterRandom
  private var draws: UInt64 = 0

  init(seed: UInt64, _ stream: UInt64) {
    random = CounterRandom(seed: seed, stream, 0xF022)
  }

  private mutating func below(_ count: Int) -> Int {
    draws += 1
    return count < 2 ? 0 : Int(random.bits(draws) % UInt64(count))
  }

  /// Numbers at the edges of their types, and text at the edges of the grammar.
  private static let texts = [
    "-1", "0", "1e999", "9223372036854775807", "18446744073709551616", "null", "true", "\"\"", "[]",
    "{}", "../", "/etc/passwd", "\\u0000", "\u{FEFF}", "NaN", "0.5", ",", "\"", "}", "[[[[[[[[",
  ]
  private static let words: [UInt64] = [
    0, 1, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF,
    0x7FFF_FFFF_FFFF_FFFF, 0x8000_0000_0000_0000, 0xFFFF_FFFF_FFFF_FFFF,
  ]

  /// A changed copy of one of the inputs; one in sixteen is kept as it is.
  mutating func mutate(_ inputs: [[UInt8]]) -> [UInt8] {
    var bytes = inputs[below(inputs.count)]
    for _ in 0..<below(6) { change(&bytes, others: inputs) }
    return bytes
  }

  private mutating func change(_ bytes: inout [UInt8], others: [[UInt8]]) {
    let place = below(bytes.count + 1)
    let inside = min(place, max(0, bytes.count - 1))
    switch below(10) {
    case 0 where !bytes.isEmpty: bytes[inside] ^= 1 << UInt8(below(8))
    case 1 where !bytes.isEmpty: bytes[inside] = UInt8(below(256))
    case 2: bytes.insert(UInt8(below(256)), at: place)
    case 3: bytes.removeSubrange(place..<min(bytes.count, place + 1 + below(16)))
    case 4: bytes.removeSubrange(place...)
    case 5:
      let copy = bytes[place..<min(bytes.count, place + 1 + below(64))]
      bytes.insert(contentsOf: Array(copy), at: below(bytes.count + 1))
    case 6:
      let word = Self.words[below(Self.words.count)]
      for index in 0..<(1 << below(4)) where place + index < bytes.count {
        bytes[place + index] = UInt8(truncatingIfNeeded: word >> UInt64(8 * index))
      }
    case 7: replaceNumber(&bytes, near: place)
    case 8:
      let other = others[below(others.count)]
      bytes.replaceSubrange(place..., with: other[min(place, other.count)...])
    default: bytes.insert(contentsOf: Self.texts[below(Self.texts.count)].utf8, at: place)
    }
  }

  /// Puts another value in the place of the digits that follow.
  private mutating func replaceNumber(_ bytes: inout [UInt8], near place: Int) {
    let isDigit = { (byte: UInt8) in (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
    guard let first = bytes[place...].firstIndex(where: isDigit) else { return }
    let end = bytes[first...].firstIndex { !isDigit($0) } ?? bytes.count
    bytes.replaceSubrange(first..<end, with: Self.texts[below(Self.texts.count)].utf8)
  }
}
