import LMData

extension TextBlock {
  /// Calls `body` with every word of the lines that are for training.
  ///
  /// - Parameters:
  ///   - file: Number of the block's file.
  ///   - path: Of the file.
  ///   - rule: Leaves out the lines that are not for training, if set.
  ///   - body: Returns whether the word is UTF-8.
  /// - Throws: `TokenizerError.invalidUTF8` with the line of a word that is not.
  @inline(__always)
  func forEachTrainingWord(
    ofFile file: Int, path: String, rule: SplitRule?, _ body: (UnsafeBufferPointer<UInt8>) -> Bool
  ) throws(TokenizerError) {
    guard let text = bytes.baseAddress else { return }
    var line = firstLine
    var isTraining = rule.map { $0.split(file: file, line: line) == 0 } ?? true
    var index = 0
    while index < bytes.count {
      if Words.isSpace(text[index]) {
        if text[index] == 0x0A {
          line += 1
          isTraining = rule.map { $0.split(file: file, line: line) == 0 } ?? true
        }
        index += 1
        continue
      }
      var end = index + 1
      while end < bytes.count && !Words.isSpace(text[end]) { end += 1 }
      if isTraining, !body(UnsafeBufferPointer(start: text + index, count: end - index)) {
        throw .invalidUTF8(path: path, line: line + 1)
      }
      index = end
    }
  }
}
