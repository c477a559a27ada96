import Foundation
import LMData

/// The ids of whole words, by open addressing over the pieces of a model: twice as many slots of four
/// bytes as there are words, beside the bytes of the words themselves.
///
/// Unchecked because of the pointers: the table is filled once and then only read.
final class WordNumbers: @unchecked Sendable {
  /// The token of every word that is not in the list.
  let unknown: Int32
  /// Bytes of all words, one behind the other, and where each piece begins.
  private let bytes: [UInt8]
  private let starts: [Int]
  /// Ids; -1 where a slot is free.
  private let slots: [Int32]
  private let mask: Int

  /// - Parameter model: Whose text pieces are words behind a `▁`.
  init(_ model: SentencePieceModel) {
    unknown = model.special.unk
    var bytes: [UInt8] = []
    var starts = [0]
    for id in 0..<Int32(model.vocabularySize) {
      if model.kind(id) == .text { bytes += model.piece(id).dropFirst(WordMarker.bytes.count) }
      starts.append(bytes.count)
    }
    var capacity = 16
    while capacity < 2 * model.vocabularySize { capacity *= 2 }
    var slots = [Int32](repeating: -1, count: capacity)
    let mask = capacity - 1
    bytes.withUnsafeBufferPointer { bytes in
      guard let base = bytes.baseAddress else { return }
      for id in 0..<model.vocabularySize where starts[id + 1] > starts[id] {
        let hash = WordHash.hash(base + starts[id], starts[id + 1] - starts[id])
        var place = Int(truncatingIfNeeded: hash) & mask
        while slots[place] >= 0 { place = (place + 1) & mask }
        slots[place] = Int32(id)
      }
    }
    self.bytes = bytes
    self.starts = starts
    self.slots = slots
    self.mask = mask
  }

  /// The token of a word; ``unknown`` if it is not in the list.
  func id(of word: UnsafeBufferPointer<UInt8>) -> Int32 {
    guard let base = word.baseAddress, word.count > 0 else { return unknown }
    var place = Int(truncatingIfNeeded: WordHash.hash(base, word.count)) & mask
    return bytes.withUnsafeBufferPointer { bytes in
      while slots[place] >= 0 {
        let id = Int(slots[place])
        let start = starts[id]
        if starts[id + 1] - start == word.count, let known = bytes.baseAddress,
          memcmp(known + start, base, word.count) == 0
        {
          return Int32(id)
        }
        place = (place + 1) & mask
      }
      return unknown
    }
  }
}
