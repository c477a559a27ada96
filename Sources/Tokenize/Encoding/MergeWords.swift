/// The pieces of one word under a byte-pair-encoding model.
///
/// From single characters on, the neighbours that make the piece of the highest score are merged,
/// the leftmost first among equals, until none make a piece (`bpe::Model::Encode`). Not safe for
/// use by several threads.
final class MergeWords {
  /// Longest word in bytes: each merge looks at all neighbours, so very long words are better
  /// served by a heap, as ``LongMergeWords`` has.
  static let longestWord = 256

  let pieces: MergePieces
  private let symbols = UnsafeMutablePointer<Symbol>.allocate(capacity: longestWord + 4)

  private struct Symbol {
    var id: Int32
    var start: Int32
    var end: Int32
    /// What this symbol and the next one make, or -1.
    var merged: Int32 = -1
    var score: Float = 0

    var bytes: Range<Int> { Int(start)..<Int(end) }
  }

  /// Nothing for a model that is the library's, see ``MergePieces``.
  init?(model: SentencePieceModel) {
    guard let pieces = model.mergePieces({ MergePieces(model) }) else { return nil }
    self.pieces = pieces
  }

  deinit { symbols.deallocate() }

  /// Pieces of a word with the space before it.
  ///
  /// - Parameter target: Has room for four ids a byte and three more.
  /// - Returns: The number of ids.
  func path(
    _ word: UnsafeBufferPointer<UInt8>, into target: UnsafeMutablePointer<Int32>
  ) -> Int {
    precondition(word.count <= Self.longestWord)
    var count = split(word)
    let symbols = self.symbols
    for index in 0..<(count - 1) { match(index) }
    while true {
      var best = -1
      for index in 0..<(count - 1) where symbols[index].merged >= 0 {
        if best < 0 || symbols[index].score > symbols[best].score { best = index }
      }
      if best < 0 { break }
      symbols[best].id = symbols[best].merged
      symbols[best].end = symbols[best + 1].end
      symbols[best].merged = -1
      count -= 1
      for index in (best + 1)..<max(best + 1, count) { symbols[index] = symbols[index + 1] }
      if best + 1 < count { match(best) }
      if best > 0 { match(best - 1) }
    }
    var total = 0
    for index in 0..<count {
      let symbol = symbols[index]
      if symbol.id >= 0 {
        target[total] = symbol.id
        total += 1
        continue
      }
      let bytes = symbol.start < 0 ? WordMarker.bytes[...] : ArraySlice(word[symbol.bytes])
      for byte in bytes {
        target[total] = pieces.byteIDs[Int(byte)]
        total += 1
      }
    }
    return total
  }

  /// Cuts a word into characters, the space before it being the first.
  private func split(_ word: UnsafeBufferPointer<UInt8>) -> Int {
    symbols[0] = Symbol(id: pieces.trie.id(of: WordMarker.bytes), start: -1, end: 0)
    var count = 1
    var start = 0
    while start < word.count {
      let end = min(word.count, start + characterLength(word[start]))
      let bytes = word[start..<end]
      // A `▁` of the text itself must be spelled by its bytes, or it would decode as a space.
      let id = bytes.elementsEqual(WordMarker.bytes) ? -1 : pieces.trie.id(of: bytes)
      symbols[count] = Symbol(id: id, start: Int32(start), end: Int32(end))
      count += 1
      start = end
    }
    return count
  }

  /// Looks up what a symbol makes with the next one.
  @inline(__always)
  private func match(_ index: Int) {
    symbols[index].merged = -1
    let (left, right) = (symbols[index].id, symbols[index + 1].id)
    if left < 0 || right < 0 { return }
    let pair = pieces.pair(left, right)
    symbols[index].merged = pair.id
    symbols[index].score = pair.score
  }
}
