import Storage

/// The pieces of a long word under a byte-pair-encoding model.
///
/// The same merges in the same order as ``MergeWords``, but a heap finds the next one
/// (`bpe::Model::Encode` does so with several times the memory), and a word is taken in sections: no
/// merge crosses a place that no piece of the model lies across.
struct LongMergeWords {
  /// A word without such places takes this many bytes of memory for each of its own.
  static let memoryPerByte = 40

  private let pieces: MergePieces
  private var symbols: [Symbol] = []
  private var heap: [Merge] = []

  /// A run of characters.
  private struct Symbol {
    var id: Int32
    /// Bytes of its text; 0 once it is part of another one.
    var bytes: Int32
    /// Numbers of the neighbours, or -1.
    var previous: Int32
    var next: Int32
  }

  /// Two neighbours that make a piece.
  private struct Merge {
    var score: Float
    var left: Int32
    /// Bytes of both: the same neighbours have others once one has been merged.
    var bytes: Int32

    @inline(__always)
    func comesBefore(_ other: Merge) -> Bool {
      score != other.score ? score > other.score : left < other.left
    }
  }

  init(pieces: MergePieces) { self.pieces = pieces }

  /// Appends the pieces of a word with the space before it.
  mutating func append(
    _ word: UnsafeBufferPointer<UInt8>, to result: EncodedLines
  ) throws(TokenizerError) {
    guard let text = word.baseAddress else { return }
    var start = 0
    repeat {
      let end = sectionEnd(of: text, from: start, count: word.count)
      try requireMemory(forBytes: end - start)
      split(text, start..<end)
      mergeAll()
      write(text, from: start, to: result)
      start = end
    } while start < word.count
  }

  private func requireMemory(forBytes count: Int) throws(TokenizerError) {
    guard count > 1 << 20 else { return }
    do {
      try MemoryLimit.require(
        Self.memoryPerByte * count, for: "a word of \(count) bytes",
        advice: "put spaces into it, or use a unigram tokenizer, which needs less")
    } catch {
      throw .memory(error)
    }
  }

  /// The first place behind `start` that no piece lies across, or the end.
  private func sectionEnd(of text: UnsafePointer<UInt8>, from start: Int, count: Int) -> Int {
    var farthest = start
    if start == 0 {
      // What begins with the space.
      let reach = min(count, pieces.longestPiece)
      let head = WordMarker.bytes + UnsafeBufferPointer(start: text, count: reach)
      head.withUnsafeBufferPointer { head in
        guard let head = head.baseAddress else { return }
        pieces.trie.forEachPrefix(of: head, from: 0, to: reach + 3) { end, _, _ in
          farthest = max(farthest, end - 3)
        }
      }
    }
    var place = start
    while place < count {
      if place > start && farthest <= place { return place }
      pieces.trie.forEachPrefix(of: text, from: place, to: count) { end, _, _ in
        farthest = max(farthest, end)
      }
      place += characterLength(text[place])
    }
    return count
  }

  /// Cuts a section into characters; the first section begins with the space before the word.
  private mutating func split(_ text: UnsafePointer<UInt8>, _ section: Range<Int>) {
    symbols.removeAll(keepingCapacity: section.count < 1 << 20)
    heap.removeAll(keepingCapacity: section.count < 1 << 20)
    if section.lowerBound == 0 {
      symbols.append(
        Symbol(id: pieces.trie.id(of: WordMarker.bytes), bytes: 3, previous: -1, next: 1))
    }
    var start = section.lowerBound
    while start < section.upperBound {
      let end = min(section.upperBound, start + characterLength(text[start]))
      let bytes = UnsafeBufferPointer(start: text + start, count: end - start)
      // A `▁` of the text itself must be spelled by its bytes, or it would decode as a space.
      let id = bytes.elementsEqual(WordMarker.bytes) ? -1 : pieces.trie.id(of: bytes)
      let number = Int32(symbols.count)
      symbols.append(
        Symbol(id: id, bytes: Int32(end - start), previous: number - 1, next: number + 1))
      start = end
    }
    symbols[symbols.count - 1].next = -1
  }

  private mutating func mergeAll() {
    for left in symbols.indices.dropLast() { offer(left) }
    while let merge = popFirst() {
      let left = Int(merge.left)
      let right = Int(symbols[left].next)
      guard symbols[left].bytes > 0, right >= 0,
        symbols[left].bytes + symbols[right].bytes == merge.bytes
      else { continue }
      symbols[left].id = pieces.pair(symbols[left].id, symbols[right].id).id
      symbols[left].bytes = merge.bytes
      symbols[left].next = symbols[right].next
      symbols[right].bytes = 0
      let next = Int(symbols[left].next)
      if next >= 0 {
        symbols[next].previous = merge.left
        offer(left)
      }
      if symbols[left].previous >= 0 { offer(Int(symbols[left].previous)) }
    }
  }

  private func write(_ text: UnsafePointer<UInt8>, from start: Int, to result: EncodedLines) {
    var place = start == 0 ? -3 : start
    var number = 0
    while number >= 0 {
      let symbol = symbols[number]
      result.reserve(Int(symbol.bytes))
      if symbol.id >= 0 {
        result.ids[result.idCount] = symbol.id
        result.idCount += 1
      } else {
        for offset in 0..<Int(symbol.bytes) {
          let byte = place < 0 ? WordMarker.bytes[offset] : text[place + offset]
          result.ids[result.idCount] = pieces.byteIDs[Int(byte)]
          result.idCount += 1
        }
      }
      place += Int(symbol.bytes)
      number = Int(symbol.next)
    }
  }

  // MARK: The heap, the next merge on top

  /// Puts in what a symbol makes with the next one.
  @inline(__always)
  private mutating func offer(_ left: Int) {
    let right = Int(symbols[left].next)
    if symbols[left].id < 0 || symbols[right].id < 0 { return }
    let pair = pieces.pair(symbols[left].id, symbols[right].id)
    if pair.id < 0 { return }
    heap.append(
      Merge(
        score: pair.score, left: Int32(left), bytes: symbols[left].bytes + symbols[right].bytes))
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      if !heap[child].comesBefore(heap[parent]) { break }
      heap.swapAt(parent, child)
      child = parent
    }
  }

  private mutating func popFirst() -> Merge? {
    guard let first = heap.first, let last = heap.popLast() else { return nil }
    if heap.isEmpty { return first }
    heap[0] = last
    var parent = 0
    while true {
      var best = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
        if heap[child].comesBefore(heap[best]) { best = child }
      }
      if best == parent { return first }
      heap.swapAt(parent, best)
      parent = best
    }
  }
}
