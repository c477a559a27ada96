import LMData

extension LineEncoder {
  /// Encodes a block of lines by a model of whole words.
  ///
  /// White space only separates words, so the bytes of a line are those of its words and of one space or
  /// newline behind each: what its tokens spell.
  ///
  /// - Returns: Whether all was UTF-8; if not, the first bad line is number `result.lineCount`.
  static func encodeWholeWords(
    _ block: UnsafeBufferPointer<UInt8>, numbers: WordNumbers, into result: EncodedLines
  ) -> Bool {
    guard let text = block.baseAddress else { return true }
    var index = 0
    while index < block.count {
      var (words, bytes) = (0, 0)
      while index < block.count && text[index] != 0x0A {
        if Words.isSpace(text[index]) {
          index += 1
          continue
        }
        var end = index + 1
        while end < block.count && !Words.isSpace(text[end]) { end += 1 }
        let word = UnsafeBufferPointer(start: text + index, count: end - index)
        let id = numbers.id(of: word)
        if id == numbers.unknown, !isValidUTF8(word) { return false }
        result.append(id)
        words += 1
        bytes += 1 + (id == numbers.unknown ? Words.unknown.count : word.count)
        index = end
      }
      index += 1
      result.endLine(words: words, bytes: max(1, bytes))
    }
    return true
  }

  /// What ids of whole words spell, one space between them; nil of other models.
  func spelledWords(_ ids: [Int32]) -> [UInt8]? {
    guard model.modelType == .word else { return nil }
    var text: [UInt8] = []
    for id in ids {
      if !text.isEmpty { text.append(0x20) }
      text +=
        id == model.special.unk
        ? Words.unknown[...] : model.piece(id)[WordMarker.bytes.count...]
    }
    return text
  }
}
