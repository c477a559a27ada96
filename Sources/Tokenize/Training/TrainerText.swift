import Foundation

/// Text as the trainer of libsentencepiece takes it.
///
/// The trainer passes over every sentence that is too long for it or holds the character that it
/// keeps for itself, and says so to nobody; here neither takes anything else along.
enum TrainerText {
  /// Longest sentence in bytes that the library is given.
  static let longestSentence = 1 << 14

  // `▅` (U+2585, E2 96 85) stands for what is no piece, `▁` (U+2581, E2 96 81) for a space: no piece
  // may hold them as text, and the tokenizer spells both by their bytes.
  private static let lead: UInt8 = 0xE2
  private static let length = 3

  /// Where pieces end, and nothing more: the trainer counts no tab as a character.
  private static let boundary: UInt8 = 0x09

  /// The parts of a line that are sentences, cut at spaces, or at characters where no space is near.
  static func parts(of line: UnsafeBufferPointer<UInt8>) -> [Range<Int>] {
    var parts: [Range<Int>] = []
    var start = 0
    while line.count - start > longestSentence {
      let limit = start + longestSentence
      if let space = line[start..<limit].lastIndex(of: 0x20), space > start {
        parts.append(start..<space)
        start = space + 1
        continue
      }
      var end = limit
      while end > start && line[end] & 0xC0 == 0x80 { end -= 1 }
      // Bytes that are no text end somewhere as well.
      if end == start { end = limit }
      parts.append(start..<end)
      start = end
    }
    if start < line.count || parts.isEmpty { parts.append(start..<line.count) }
    return parts
  }

  /// A sentence with a boundary for each reserved character, and how many there were.
  static func replacingReserved(in sentence: [UInt8]) -> (sentence: [UInt8], count: Int) {
    let places = sentence.withUnsafeBufferPointer(reservedPlaces)
    if places.isEmpty { return (sentence, 0) }
    var result: [UInt8] = []
    var start = 0
    for place in places {
      result += sentence[start..<place]
      result.append(boundary)
      start = place + length
    }
    return (result + sentence[start...], places.count)
  }

  /// Where reserved characters begin.
  private static func reservedPlaces(_ text: UnsafeBufferPointer<UInt8>) -> [Int] {
    guard let base = text.baseAddress else { return [] }
    var places: [Int] = []
    var start = 0
    while text.count - start >= length,
      let found = memchr(base + start, Int32(lead), text.count - start - length + 1)
    {
      let place = UnsafeRawPointer(found) - UnsafeRawPointer(base)
      if text[place + 1] == 0x96 && (text[place + 2] == 0x81 || text[place + 2] == 0x85) {
        places.append(place)
        start = place + length
      } else {
        start = place + 1
      }
    }
    return places
  }
}
