import CProcessor
import LMData

/// Encodes lines word by word with tables of words; the ids are libsentencepiece's own.
///
/// No piece crosses a space, so a line's ids are those of its words in a row, with three cares:
/// a model where that does not hold is served by the library line by line; a word of a unigram
/// model whose best two paths are close is settled as the library would at that place of the
/// line; and a literal `▁` is spelled by its bytes. One encoder serves one thread.
package final class LineEncoder {
  /// A block may be read this many bytes past its end.
  package static let padding = 16

  let model: SentencePieceModel
  private let table: WordTable
  private let words: WordEncoder

  /// Words that are looked for in the table at a time.
  private static let batch = 64
  private let queue = UnsafeMutablePointer<Word>.allocate(capacity: batch)

  /// A word of the block and where the table has it, if anywhere.
  private struct Word {
    var head: UInt64
    var tail: UInt64
    var pair: Int
    /// Place of the space or newline behind it, or the end of the block.
    var end: Int
  }

  /// Where an encoder is in its block.
  private struct Place {
    /// First byte of the next word.
    var start = 0
    /// First byte of the line, and the number of ids before it.
    var lineStart = 0
    var firstID = 0
    /// Words of the line so far.
    var runs = 0
  }

  /// - Parameters:
  ///   - model: Shared with other encoders.
  ///   - cacheSlots: Size of the tables of words, a power of two; 2²⁰ slots take some 90 MB.
  package convenience init(
    model: SentencePieceModel, cacheSlots: Int = 1 << 19
  ) {
    self.init(model: model, cacheSlots: cacheSlots, exchange: nil)
  }

  /// - Parameters:
  ///   - model: Shared with other encoders.
  ///   - cacheSlots: As above.
  ///   - exchange: Shared with the encoders that work on the same corpus.
  package init(
    model: SentencePieceModel, cacheSlots: Int = 1 << 19, exchange: WordExchange?
  ) {
    self.model = model
    table = WordTable(capacity: cacheSlots)
    words = WordEncoder(model: model, table: table, cacheSlots: cacheSlots, exchange: exchange)
  }

  deinit { queue.deallocate() }

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
  /// - Returns: Whether all was UTF-8; if not, the first bad line is number `result.lineCount`.
  func encodeBlock(
    _ block: UnsafeBufferPointer<UInt8>, into result: EncodedLines
  ) throws(TokenizerError) -> Bool {
    result.removeAll()
    guard let base = block.baseAddress else { return true }
    if let numbers = model.wholeWords {
      return Self.encodeWholeWords(block, numbers: numbers, into: result)
    }
    if !model.wordsAreIndependent { return try encodeWithLibrary(block, into: result) }
    words.beginBlock()
    var next = 0
    var place = Place()
    while true {
      let count = queueWords(of: block, base, from: &next)
      if count == 0 { return true }
      if try !encodeWords(count, of: block, base, from: &place, into: result) { return false }
    }
  }

  /// Number of words of a block, an empty one between two spaces included.
  func countWords(of block: UnsafeBufferPointer<UInt8>) -> Int {
    guard let base = block.baseAddress else { return 0 }
    var next = 0
    var total = 0
    while true {
      let count = queueWords(of: block, base, from: &next)
      if count == 0 { return total }
      total += count
    }
  }

  /// Finds the next words of a block and asks the processor for their slots.
  ///
  /// The answers come while other words are read: a look at a time into a table of this size
  /// would mostly be waiting.
  ///
  /// - Parameter next: First byte of the first word.
  /// - Returns: Number of words in the queue, zero at the end.
  private func queueWords(
    of block: UnsafeBufferPointer<UInt8>, _ base: UnsafePointer<UInt8>, from next: inout Int
  ) -> Int {
    let (queue, slots, mask, masks) = (self.queue, table.slots, table.mask, table.masks)
    let raw = UnsafeRawPointer(base)
    var count = 0
    var start = next
    // The space or newline behind the word must be in the block.
    let lastStart = block.count - Self.padding
    while count < Self.batch && start <= lastStart {
      let length = Self.shortWordLength(raw + start)
      if length == 16 {
        let end = start + Self.wordLength(base + start, limit: block.count - start)
        queue[count] = Word(head: 0, tail: WordTable.noWord, pair: 0, end: end)
        start = end
      } else {
        let keep = masks[length]
        let head = raw.loadUnaligned(fromByteOffset: start, as: UInt64.self).littleEndian & keep.0
        let tail =
          raw.loadUnaligned(fromByteOffset: start &+ 8, as: UInt64.self).littleEndian & keep.1
          | UInt64(truncatingIfNeeded: length &+ 1) &<< 56
        let pair = WordTable.pair(head, tail, mask)
        cp_prefetch(slots + 2 &* pair)
        start &+= length
        queue[count] = Word(head: head, tail: tail, pair: pair, end: start)
      }
      start &+= 1
      count &+= 1
    }
    // A line may end in a space at the end of the block: then an empty word is left.
    while count < Self.batch
      && (start < block.count || start == block.count && base[start - 1] != 0x0A)
    {
      start += Self.wordLength(base + start, limit: block.count - start)
      queue[count] = Word(head: 0, tail: WordTable.noWord, pair: 0, end: start)
      start += 1
      count += 1
    }
    next = start
    return count
  }

  /// Encodes the words of the queue.
  ///
  /// Each turn of the loop has the same steps whatever the word's length and number of ids, so
  /// that the processor works on several words at a time.
  ///
  /// - Returns: Whether all are UTF-8.
  private func encodeWords(
    _ count: Int, of block: UnsafeBufferPointer<UInt8>, _ base: UnsafePointer<UInt8>,
    from place: inout Place, into result: EncodedLines
  ) throws(TokenizerError) -> Bool {
    let (queue, slots) = (self.queue, table.slots)
    let room = 4 * Self.batch
    result.reserve(room)
    var output = result.ids
    var idCount = result.idCount
    var (start, lineStart, firstID, runs) =
      (place.start, place.lineStart, place.firstID, place.runs)
    for index in 0..<count {
      let word = queue[index]
      let slot = slots + 2 &* word.pair
      let first = (slot[0].head ^ word.head) | (slot[0].tail ^ word.tail)
      let second = (slot[1].head ^ word.head) | (slot[1].tail ^ word.tail)
      let difference = first == 0 ? 0 : second
      let packed = slot[first == 0 ? 0 : 1].answer
      let answer = WordTable.Answer(packed)
      let tooLate = UInt64(truncatingIfNeeded: idCount &- firstID) &>> UInt64(answer.safeBits)
      if difference | tooLate != 0 {
        place = Place(start: start, lineStart: lineStart, firstID: firstID, runs: runs)
        result.idCount = idCount
        if try !encodeWord(of: block, base, at: &place, end: word.end, into: result) {
          return false
        }
        result.reserve(room)
        output = result.ids
        idCount = result.idCount
        (start, lineStart, firstID, runs) =
          (place.start, place.lineStart, place.firstID, place.runs)
        continue
      }
      UnsafeMutableRawPointer(output + idCount).storeBytes(of: packed, as: SIMD4<Int32>.self)
      idCount &+= answer.idCount
      runs &+= answer.runs
      start = word.end &+ 1
      if base[word.end] == 0x0A {
        result.idCount = idCount
        result.endLine(words: runs, bytes: start - lineStart)
        (lineStart, firstID, runs) = (start, idCount, 0)
      }
    }
    result.idCount = idCount
    place = Place(start: start, lineStart: lineStart, firstID: firstID, runs: runs)
    return true
  }

  /// Encodes the next word, whatever it is.
  ///
  /// - Returns: Whether it is UTF-8.
  @inline(never)
  private func encodeWord(
    of block: UnsafeBufferPointer<UInt8>, _ base: UnsafePointer<UInt8>, at place: inout Place,
    end: Int, into result: EncodedLines
  ) throws(TokenizerError) -> Bool {
    let count = end - place.start
    let isLineEnd = end == block.count || base[end] == 0x0A
    // An empty line has no words; elsewhere an empty word stands for one more space.
    if count > 0 || place.start > place.lineStart || !isLineEnd {
      let word = UnsafeBufferPointer(start: base + place.start, count: count)
      guard
        let runs = try words.encode(
          word, lineStart: base + place.lineStart, firstID: place.firstID, into: result)
      else { return false }
      place.runs += runs
    }
    place.start = end + 1
    if isLineEnd {
      result.endLine(words: place.runs, bytes: place.start - place.lineStart)
      place = Place(start: place.start, lineStart: place.start, firstID: result.idCount)
    }
    return true
  }

  /// Encodes line by line, for models with pieces of several words.
  private func encodeWithLibrary(
    _ block: UnsafeBufferPointer<UInt8>, into result: EncodedLines
  ) throws(TokenizerError) -> Bool {
    for line in block.split(separator: 0x0A, omittingEmptySubsequences: false) {
      // Behind the last newline there is no line.
      if line.isEmpty && line.startIndex == block.count { break }
      let line = UnsafeBufferPointer(rebasing: line)
      if !isValidUTF8(line) { return false }
      result.append(try model.encode(line))
      result.endLine(words: Words.count(in: line), bytes: line.count + 1)
    }
    return true
  }

  /// Bytes up to the next space or newline, or 16 if they are not among the next 16 bytes.
  ///
  /// Without a branch, as the lengths of words are hard to foresee. Vectors of 16 bytes compile to
  /// loops over their lanes.
  @inline(__always)
  static func shortWordLength(_ start: UnsafeRawPointer) -> Int {
    let low = wordEnds(start.loadUnaligned(as: UInt64.self).littleEndian)
    let high = wordEnds(start.loadUnaligned(fromByteOffset: 8, as: UInt64.self).littleEndian)
    return (low | high &<< 8 | 1 &<< 16).trailingZeroBitCount
  }

  /// A bit for each byte that is a space or a newline; those above the lowest may be wrong.
  @inline(__always)
  private static func wordEnds(_ bytes: UInt64) -> UInt64 {
    let (ones, highest) = (0x0101_0101_0101_0101 as UInt64, 0x8080_8080_8080_8080 as UInt64)
    let (noSpace, noNewline) = (bytes ^ 0x20 &* ones, bytes ^ 0x0A &* ones)
    let ends = (noSpace &- ones) & ~noSpace | (noNewline &- ones) & ~noNewline
    // The sum of the shifts brings the highest bits of the bytes together in the top byte.
    return (((ends & highest) &>> 7) &* 0x0102_0408_1020_4080) &>> 56
  }

  /// Bytes up to the next space or newline or the limit.
  private static func wordLength(_ start: UnsafePointer<UInt8>, limit: Int) -> Int {
    var offset = 0
    while offset < limit {
      let count = shortWordLength(UnsafeRawPointer(start + offset))
      if count < 16 { return min(limit, offset + count) }
      offset += 16
    }
    return limit
  }
}
