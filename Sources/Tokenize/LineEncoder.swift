import Foundation
import LMData

/// Encodes lines word by word with a table of words; the ids are libsentencepiece's own.
///
/// No piece crosses a space, so a line's ids are those of its words in a row, with three cares:
/// a model where that does not hold is served by the library line by line; a word of a unigram
/// model whose best two paths are close is settled as the library would at that place of the
/// line; and a literal `▁` is spelled by its bytes. One encoder serves one thread.
package final class LineEncoder {
  /// A block may be read this many bytes past its end.
  package static let padding = 16

  private let model: SentencePieceModel
  private let cache: WordCache
  private let unigram: UnigramWords?
  private let merges: MergeWords?

  /// For each id, the byte that it stands for, or -1.
  private let byteOf: [Int16]
  private let spaceIDs: [Int32]

  /// - Parameters:
  ///   - model: Shared with other encoders.
  ///   - cacheSlots: Size of the table of words, a power of two; 2²⁰ slots take some 60 MB.
  package init(model: SentencePieceModel, cacheSlots: Int = 1 << 19) throws(TokenizerError) {
    self.model = model
    cache = WordCache(capacity: cacheSlots)
    unigram = model.modelType == .unigram ? UnigramWords(model: model) : nil
    merges = model.modelType == .bpe ? MergeWords(model: model) : nil
    var byteOf = [Int16](repeating: -1, count: model.vocabularySize)
    for (byte, id) in model.byteIDs.enumerated() { byteOf[Int(id)] = Int16(byte) }
    self.byteOf = byteOf
    // The library gives nothing for an empty text, so the empty word is half of one space.
    let space = try model.encode([0x20])
    spaceIDs = Array(space.prefix(space.count / 2))
  }

  /// Encodes one line without its newline, for callers with a line now and then.
  ///
  /// - Parameter name: Named in the error, with line 1, if the text is not UTF-8.
  package func encode(_ line: [UInt8], name: String = "the text") throws(TokenizerError) -> [Int32]
  {
    precondition(!line.contains(0x0A))
    let result = EncodedLines()
    let padded = line + [UInt8](repeating: 0, count: Self.padding)
    if line.isEmpty { return [] }
    try padded.span.withUnsafeBufferPointer { (bytes) throws(TokenizerError) in
      if try !encodeBlock(UnsafeBufferPointer(rebasing: bytes.prefix(line.count)), into: result) {
        throw .invalidUTF8(path: name, line: 1)
      }
    }
    return Array(result[0])
  }

  /// Encodes a block of lines.
  ///
  /// - Parameters:
  ///   - block: Lines, each closed by a newline but perhaps the last; ``padding`` more bytes
  ///     behind it must be readable.
  ///   - result: Emptied, then filled.
  /// - Returns: Whether all was UTF-8; if not, the first bad line is number `result.lines.count`.
  func encodeBlock(
    _ block: UnsafeBufferPointer<UInt8>, into result: EncodedLines
  ) throws(TokenizerError) -> Bool {
    result.removeAll()
    guard let base = block.baseAddress else { return true }
    var position = 0
    while position < block.count {
      let found = memchr(base + position, 0x0A, block.count - position)
      let end = found.map { UnsafeRawPointer($0) - UnsafeRawPointer(base) } ?? block.count
      let line = UnsafeBufferPointer(start: base + position, count: end - position)
      // A byte has at most one id, and the marker before each word at most three.
      result.reserve(4 * line.count + 8)
      let words = model.wordsAreIndependent ? try words(of: line, into: result) : nil
      if let words {
        result.endLine(words: words, bytes: line.count + 1)
      } else {
        if model.wordsAreIndependent || !isValidUTF8(line) { return false }
        result.append(try model.encode(line))
        result.endLine(words: Words.count(in: line), bytes: line.count + 1)
      }
      position = end + 1
    }
    return true
  }

  /// Encodes a line word by word.
  ///
  /// - Returns: Its words, or `nil` if it is not UTF-8.
  private func words(
    of line: UnsafeBufferPointer<UInt8>, into result: EncodedLines
  ) throws(TokenizerError) -> Int? {
    guard let base = line.baseAddress, line.count > 0 else { return 0 }
    let firstID = result.idCount
    let output = result.ids
    var idCount = firstID
    var words = 0
    let slots = cache.slots
    let mask = cache.mask
    let cachedIDs = cache.ids
    unigram?.beginLine()
    var start = 0
    while start <= line.count {
      let count = Self.wordLength(base + start, limit: line.count - start)
      let word = base + start
      start += count + 1
      var isKnown = false
      if count <= WordCache.longestWord {
        let key = WordKey(word, count: count)
        var index = Int(truncatingIfNeeded: key.hash) & mask
        while slots[index].idCount != 0 {
          if slots[index].head == key.head && slots[index].tail == key.tail
            && Int(slots[index].length) == count
            && (count <= 16 || memcmp(cache.bytes + Int(slots[index].bytes), word, count) == 0)
          {
            isKnown = true
            break
          }
          index = (index + 1) & mask
        }
        if isKnown && Int(slots[index].safeIDs) >= idCount &- firstID {
          let known = Int(slots[index].idCount)
          Self.copy(known, from: cachedIDs + Int(slots[index].ids), to: output + idCount)
          idCount &+= known
          words &+= Int(slots[index].runs)
          continue
        }
      }
      result.idCount = idCount
      let runs = try encodeSlowly(
        UnsafeBufferPointer(start: word, count: count), isKnown: isKnown, firstID: firstID,
        into: result)
      guard let runs else { return nil }
      words += runs
      idCount = result.idCount
    }
    result.idCount = idCount
    return words
  }

  /// Encodes a word that the table does not have, or not for this place, and adds it to the table.
  ///
  /// - Returns: Its ``Words``, which may be several, or `nil` if it is not UTF-8.
  private func encodeSlowly(
    _ word: UnsafeBufferPointer<UInt8>, isKnown: Bool, firstID: Int, into result: EncodedLines
  ) throws(TokenizerError) -> Int? {
    if !isKnown && !isValidUTF8(word) { return nil }
    let runs = Words.count(in: word)
    var ids: [Int32] = []
    var safeIDs = Int32.max
    if word.isEmpty {
      ids = spaceIDs
    } else if let unigram {
      if isKnown {
        safeIDs = -1
      } else {
        let path = unigram.bestPath(word)
        ids = path.ids
        safeIDs = path.safeIDs
      }
    } else if let merges, word.count <= MergeWords.longestWord {
      ids = merges.path(word)
    } else {
      ids = try model.encode(word)
    }
    if !isKnown && word.count <= WordCache.longestWord, let base = word.baseAddress {
      let key = WordKey(base, count: word.count)
      cache.insert(word, key: key, ids: ids, runs: runs, safeIDs: safeIDs)
    }
    if let unigram, Int(safeIDs) < result.idCount - firstID {
      let before = UnsafeBufferPointer(
        start: result.ids + firstID, count: result.idCount - firstID)
      ids = unigram.roundedPath(word, after: unigram.accumulate(before, byteOf: byteOf))
    }
    result.append(ids)
    return runs
  }

  /// Copies ids four at a time: past the end of either side there is room for three more.
  @inline(__always)
  private static func copy(
    _ count: Int, from source: UnsafePointer<Int32>, to target: UnsafeMutablePointer<Int32>
  ) {
    let source = UnsafeRawPointer(source)
    let target = UnsafeMutableRawPointer(target)
    var copied = 0
    while copied < count {
      let four = source.loadUnaligned(fromByteOffset: 4 &* copied, as: SIMD4<Int32>.self)
      target.storeBytes(of: four, toByteOffset: 4 &* copied, as: SIMD4<Int32>.self)
      copied &+= 4
    }
  }

  /// Bytes up to the next space or the limit.
  @inline(__always)
  private static func wordLength(_ start: UnsafePointer<UInt8>, limit: Int) -> Int {
    var offset = 0
    while offset < limit {
      let eight = UInt64(
        littleEndian: UnsafeRawPointer(start + offset).loadUnaligned(as: UInt64.self))
      let differences = eight ^ 0x2020_2020_2020_2020
      let zeros = (differences &- 0x0101_0101_0101_0101) & ~differences & 0x8080_8080_8080_8080
      if zeros != 0 { return min(limit, offset &+ zeros.trailingZeroBitCount >> 3) }
      offset &+= 8
    }
    return limit
  }
}
