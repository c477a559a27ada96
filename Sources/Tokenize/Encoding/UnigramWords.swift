/// The most probable pieces of one word under a unigram model, and by how much they win.
///
/// libsentencepiece finds the best path over a whole line in `Float`, so two paths of almost the
/// same probability may be told apart by rounding alone, which depends on all the words before.
/// Where that may happen is known from how far the two are apart; it is settled in the same arithmetic
/// as the library's (`unigram::Model::EncodeOptimized`). Not safe for use by several threads.
final class UnigramWords {
  let pieces: UnigramPieces
  private let trie: PieceTrie
  private var ends: UnsafeMutablePointer<End>
  private var text: UnsafeMutablePointer<UInt8>
  private var capacity = 256
  private var lineScore: Float = 0
  private var scoredIDs = 0

  /// The best and second-best paths that end at a byte of the word.
  private struct End {
    var best = -Double.infinity
    var second = -Double.infinity
    var single: Float = 0
    var start: Int32 = -1
    var id: Int32 = -1
  }

  init(model: SentencePieceModel) {
    pieces = model.unigramPieces { UnigramPieces(model) }
    trie = pieces.trie
    ends = .allocate(capacity: capacity + 1)
    text = .allocate(capacity: capacity)
  }

  deinit {
    ends.deallocate()
    text.deallocate()
  }

  /// Pieces of a word with the space before it, whatever comes before that.
  ///
  /// - Parameter target: Has room for four ids a byte and three more.
  /// - Returns: The number of ids, and of ids that may stand before the word in its line with no
  ///   effect on the answer. Past them, rounding may decide otherwise; -1 where it always may.
  func bestPath(
    _ word: UnsafeBufferPointer<UInt8>, into target: UnsafeMutablePointer<Int32>
  ) -> (count: Int, safeIDs: Int32) {
    let count = prepare(word)
    let ends = self.ends
    var additions = 1
    forEachStep(to: count) { start, end, id, score in
      let score = Double(score)
      Self.offer(ends[start].best + score, from: start, id: id, to: &ends[end])
      // Only ever second: the best path to the same start has been offered just now.
      ends[end].second = max(ends[end].second, ends[start].second + score)
    }
    for index in 0..<count where text[index] & 0xC0 != 0x80 { additions += 1 }
    let margin = ends[count].best - ends[count].second
    return (trace(count, into: target), safeIDs(margin: margin, additions: additions))
  }

  /// Pieces of a word that follows pieces of the given total score, as the library rounds it.
  ///
  /// The library compares a sum in `Double` with a stored `Float`, except for unknown characters.
  ///
  /// - Returns: The number of ids.
  func roundedPath(
    _ word: UnsafeBufferPointer<UInt8>, after score: Float,
    into target: UnsafeMutablePointer<Int32>
  ) -> Int {
    let count = prepare(word)
    let ends = self.ends
    ends[0].single = score
    forEachStep(to: count) { start, end, id, score in
      let before = ends[start].single
      let candidate = id >= 0 ? Double(score) + Double(before) : Double(score + before)
      if ends[end].start < 0 || candidate > Double(ends[end].single) {
        ends[end].single = Float(candidate)
        ends[end].start = Int32(truncatingIfNeeded: start)
        ends[end].id = id
      }
    }
    return trace(count, into: target)
  }

  /// Forgets the sum of ``accumulate(_:byteOf:)``, for a new line.
  func beginLine() {
    lineScore = 0
    scoredIDs = 0
  }

  /// The score that the library has after the given pieces, which begin the line.
  ///
  /// Only those that have come since the last call are looked at. A character spelled by bytes
  /// counts once, at its first byte.
  func accumulate(_ ids: UnsafeBufferPointer<Int32>, byteOf: [Int16]) -> Float {
    for id in ids[scoredIDs...] {
      let byte = byteOf[Int(id)]
      if byte < 0 {
        lineScore += pieces.scores[Int(id)]
      } else if byte & 0xC0 != 0x80 {
        lineScore += pieces.unknownScore
      }
    }
    scoredIDs = ids.count
    return lineScore
  }

  /// How many ids may come before a word without rounding deciding between its best two paths.
  ///
  /// One addition is off by at most half the distance `ulp(S)` between two floats of the size of
  /// the sum `S`, and all additions of both paths together by less than `additions · ulp(S)`. Sums
  /// stay below the largest score times the number of ids.
  private func safeIDs(margin: Double, additions: Int) -> Int32 {
    let slack = margin / Double(additions)
    guard slack > 0 else { return -1 }
    guard slack.isFinite else { return .max }
    // Below this sum, ulp(S) is at most half of the power of two below the slack.
    let largestSum = slack.binade * 0x1p23
    let ids = largestSum / Double(pieces.largestScore) - Double(additions + 3)
    return ids < 0 ? -1 : Int32(min(ids, Double(Int32.max)))
  }

  /// Lays out the space and the word, with no path yet, and returns their bytes.
  private func prepare(_ word: UnsafeBufferPointer<UInt8>) -> Int {
    let count = word.count + WordMarker.bytes.count
    if count > capacity {
      ends.deallocate()
      text.deallocate()
      capacity = 2 * count
      ends = .allocate(capacity: capacity + 1)
      text = .allocate(capacity: capacity)
    }
    for (index, byte) in WordMarker.bytes.enumerated() { text[index] = byte }
    for index in 0..<word.count { text[WordMarker.bytes.count + index] = word[index] }
    ends.initialize(repeating: End(), count: count + 1)
    ends[0].best = 0
    return count
  }

  @inline(__always)
  private static func offer(_ score: Double, from start: Int, id: Int32, to end: inout End) {
    if score > end.best {
      end.second = end.best
      end.best = score
      end.start = Int32(truncatingIfNeeded: start)
      end.id = id
    } else if score > end.second {
      end.second = score
    }
  }

  /// Calls `body(start, end, id, score)` for every piece at every character, in the library's
  /// order; the id is -1 for a character that is no piece.
  @inline(__always)
  private func forEachStep(to count: Int, _ body: (Int, Int, Int32, Float) -> Void) {
    let text = self.text
    let trie = self.trie
    let unknownScore = pieces.unknownScore
    var start = 0
    while start < count {
      let character = min(characterLength(text[start]), count - start)
      var isPiece = false
      if start == 0 || !isMarker(at: start, count) {
        trie.forEachPrefix(of: text, from: start, to: count) { end, id, score in
          if end &- start == character { isPiece = true }
          body(start, end, id, score)
        }
      }
      if !isPiece { body(start, start + character, -1, unknownScore) }
      start += character
    }
  }

  /// Whether a `▁` of the text itself stands here: it must be spelled by its bytes, or it would
  /// decode as a space.
  private func isMarker(at start: Int, _ count: Int) -> Bool {
    text[start] == 0xE2 && start + 3 <= count && text[start + 1] == 0x96 && text[start + 2] == 0x81
  }

  /// Writes the pieces of the path that has been found and returns their number.
  private func trace(_ count: Int, into target: UnsafeMutablePointer<Int32>) -> Int {
    var total = 0
    var end = count
    while end > 0 {
      let (start, id) = (Int(ends[end].start), ends[end].id)
      precondition(start >= 0 && start < end, "no path through the word")
      if id >= 0 {
        target[total] = id
        total += 1
      } else {
        for index in (start..<end).reversed() {
          target[total] = pieces.byteIDs[Int(text[index])]
          total += 1
        }
      }
      end = start
    }
    var ids = UnsafeMutableBufferPointer(start: target, count: total)
    ids.reverse()
    return total
  }
}
