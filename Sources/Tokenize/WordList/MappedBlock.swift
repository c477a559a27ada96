import Foundation
import LMData

/// A block of text in which unknown words have been replaced, in memory that is used again.
final class MappedBlock {
  private(set) var count = 0
  /// Words replaced, and those that were `<UNK>` before, of every line.
  private(set) var unknownWords: [Int32] = []
  private var memory: UnsafeMutablePointer<UInt8>
  private var capacity: Int

  init() {
    capacity = 1 << 16
    memory = .allocate(capacity: capacity)
  }

  deinit { memory.deallocate() }

  /// The lines; ``LineEncoder/padding`` more bytes are readable.
  var bytes: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(start: memory, count: count) }

  /// Replaces every word that is not in the list, white space being left as it is.
  ///
  /// Text that has been mapped before stays the same and has the same number of unknown words.
  ///
  /// - Returns: Whether all that was replaced was UTF-8; if not, the first bad line is number
  ///   `unknownWords.count`.
  func fill(from block: UnsafeBufferPointer<UInt8>, keeping words: WordList) -> Bool {
    unknownWords.removeAll(keepingCapacity: true)
    // A letter and a space become five letters and a space.
    reserve(3 * block.count + 8 + LineEncoder.padding)
    count = 0
    guard let text = block.baseAddress else { return true }
    var index = 0
    var unknown: Int32 = 0
    while index < block.count {
      let byte = text[index]
      if Words.isSpace(byte) {
        memory[count] = byte
        count += 1
        index += 1
        if byte == 0x0A {
          unknownWords.append(unknown)
          unknown = 0
        }
        continue
      }
      var end = index + 1
      while end < block.count && !Words.isSpace(text[end]) { end += 1 }
      let word = UnsafeBufferPointer(start: text + index, count: end - index)
      if words.contains(word) {
        memcpy(memory + count, text + index, word.count)
        count += word.count
      } else {
        if !isValidUTF8(word) { return false }
        for byte in Words.unknown {
          memory[count] = byte
          count += 1
        }
        unknown += 1
      }
      index = end
    }
    if block.count > 0 && text[block.count - 1] != 0x0A { unknownWords.append(unknown) }
    memset(memory + count, 0, LineEncoder.padding)
    return true
  }

  private func reserve(_ needed: Int) {
    if needed <= capacity { return }
    memory.deallocate()
    capacity = max(2 * capacity, needed)
    memory = .allocate(capacity: capacity)
  }
}

extension WordList {
  /// One line with its unknown words replaced, and their number.
  package func mapping(_ line: [UInt8]) -> (text: [UInt8], unknownWords: Int) {
    let block = MappedBlock()
    let isText = line.withUnsafeBufferPointer { block.fill(from: $0, keeping: self) }
    precondition(isText, "a line that is not UTF-8")
    return (Array(block.bytes), block.unknownWords.reduce(0) { $0 + Int($1) })
  }
}
