/// The most probable pieces of one word under a unigram model, and by how much they win.
///
/// libsentencepiece finds the best path over a whole line in `Float`, so two paths of almost the
/// same probability may be told apart by rounding alone, which depends on all the words before.
/// Words where that may happen are recognised by their slack and settled in the same arithmetic
/// as the library's (`unigram::Model::EncodeOptimized`). Not safe for use by several threads.
final class UnigramWords {
  /// The answer for a word.
  struct Path {
    var ids: [Int32]

    /// Half the distance in log probability to the second-best path, per addition: rounding
    /// errors below it cannot change the answer.
    var slack: Float
  }

  /// Largest magnitude of the score of one piece; unknown characters have it.
  let largestScore: Float

  private let trie: PieceTrie
  private let scores: [Float]
  private let byteIDs: [Int32]
  private let unknownScore: Float
  private var ends: [End] = []

  /// The best and second-best paths that end at a byte of the word.
  private struct End {
    var best = -Double.infinity
    var second = -Double.infinity
    var single: Float = 0
    var start = -1
    var id: Int32 = -1
  }

  init(model: SentencePieceModel) {
    let textIDs = (0..<Int32(model.vocabularySize)).filter(model.isText)
    trie = PieceTrie(textIDs.map { ($0, model.piece($0)) })
    scores = (0..<Int32(model.vocabularySize)).map(model.score)
    byteIDs = model.byteIDs
    let textScores = textIDs.map(model.score)
    // As in the library: ten below the least probable piece.
    unknownScore = (textScores.min() ?? 0) - 10
    largestScore = max(-unknownScore, textScores.map(\.magnitude).max() ?? 0)
  }

  /// Pieces of a word with the space before it, whatever comes before that.
  func bestPath(_ word: UnsafeBufferPointer<UInt8>) -> Path {
    let text = WordMarker.bytes + word
    prepare(text.count)
    var additions = 1
    forEachStep(in: text) { start, end, id in
      if start == 0 || ends[start].start >= 0 {
        let score = Double(id >= 0 ? scores[Int(id)] : unknownScore)
        offer(ends[start].best + score, from: start, id: id, to: end)
        offer(ends[start].second + score, from: -1, id: id, to: end)
      }
    }
    for byte in text where byte & 0xC0 != 0x80 { additions += 1 }
    let margin = ends[text.count].best - ends[text.count].second
    return Path(ids: trace(text), slack: Float(margin) / Float(2 * additions))
  }

  /// Pieces of a word that follows pieces of the given total score, as the library rounds it.
  ///
  /// The library compares a sum in `Double` with a stored `Float`, except for unknown characters.
  func roundedPath(_ word: UnsafeBufferPointer<UInt8>, after score: Float) -> [Int32] {
    let text = WordMarker.bytes + word
    prepare(text.count)
    ends[0].single = score
    forEachStep(in: text) { start, end, id in
      let before = ends[start].single
      let candidate =
        id >= 0 ? Double(scores[Int(id)]) + Double(before) : Double(unknownScore + before)
      if ends[end].start < 0 || candidate > Double(ends[end].single) {
        ends[end].single = Float(candidate)
        ends[end].start = start
        ends[end].id = id
      }
    }
    return trace(text)
  }

  /// The score that the library has after the given pieces of a line.
  ///
  /// A character spelled by bytes counts once, at its first byte.
  func accumulatedScore(_ ids: UnsafeBufferPointer<Int32>, byteOf: [Int16]) -> Float {
    var sum: Float = 0
    for id in ids {
      let byte = byteOf[Int(id)]
      if byte < 0 {
        sum += scores[Int(id)]
      } else if byte & 0xC0 != 0x80 {
        sum += unknownScore
      }
    }
    return sum
  }

  private func prepare(_ count: Int) {
    if ends.count <= count {
      ends = [End](repeating: End(), count: 2 * count + 16)
    } else {
      for index in 0...count { ends[index] = End() }
    }
    ends[0].best = 0
  }

  private func offer(_ score: Double, from start: Int, id: Int32, to end: Int) {
    if score > ends[end].best && start >= 0 {
      ends[end].second = ends[end].best
      ends[end].best = score
      ends[end].start = start
      ends[end].id = id
    } else if score > ends[end].second {
      ends[end].second = score
    }
  }

  /// Calls `body(start, end, id)` for every piece at every character, in the library's order;
  /// the id is -1 for a character that is no piece.
  private func forEachStep(in text: [UInt8], _ body: (Int, Int, Int32) -> Void) {
    var start = 0
    while start < text.count {
      let character = min(characterLength(text[start]), text.count - start)
      var isPiece = false
      // A `▁` of the text itself must be spelled by its bytes, or it would decode as a space.
      let isMarker = start > 0 && text[start...].starts(with: WordMarker.bytes)
      if !isMarker {
        trie.forEachPrefix(of: text, from: start) { end, id in
          if end - start == character { isPiece = true }
          body(start, end, id)
        }
      }
      if !isPiece { body(start, start + character, -1) }
      start += character
    }
  }

  private func trace(_ text: [UInt8]) -> [Int32] {
    var reversed: [Int32] = []
    var end = text.count
    while end > 0 {
      let step = ends[end]
      precondition(step.start >= 0 && step.start < end, "no path through the word")
      if step.id >= 0 {
        reversed.append(step.id)
      } else {
        for byte in text[step.start..<end].reversed() { reversed.append(byteIDs[Int(byte)]) }
      }
      end = step.start
    }
    return reversed.reversed()
  }
}

/// Finds all pieces that begin at a place of a text.
private struct PieceTrie {
  /// Open addressing: key `node << 8 | byte` plus one, value the next node.
  private var keys: [UInt32]
  private var nodes: [UInt32]
  private var ids: [Int32] = [-1]
  private let mask: Int

  init(_ pieces: [(id: Int32, bytes: [UInt8])]) {
    let edges = pieces.reduce(1) { $0 + $1.bytes.count }
    var capacity = 16
    while capacity < 2 * edges { capacity *= 2 }
    keys = [UInt32](repeating: 0, count: capacity)
    nodes = keys
    mask = capacity - 1
    for (id, bytes) in pieces {
      var node = 0
      for byte in bytes {
        let slot = slot(node, byte)
        if keys[slot] == 0 {
          keys[slot] = UInt32(node) << 8 + UInt32(byte) + 1
          nodes[slot] = UInt32(ids.count)
          ids.append(-1)
        }
        node = Int(nodes[slot])
      }
      ids[node] = id
    }
  }

  func forEachPrefix(of text: [UInt8], from start: Int, _ body: (Int, Int32) -> Void) {
    var node = 0
    for end in start..<text.count {
      let slot = slot(node, text[end])
      if keys[slot] == 0 { return }
      node = Int(nodes[slot])
      if ids[node] >= 0 { body(end + 1, ids[node]) }
    }
  }

  /// Where the edge is, or the free place where it would be.
  private func slot(_ node: Int, _ byte: UInt8) -> Int {
    let key = UInt32(node) << 8 + UInt32(byte) + 1
    var slot = Int((key &* 0x9E37_79B1) >> 7) & mask
    while keys[slot] != 0 && keys[slot] != key { slot = (slot + 1) & mask }
    return slot
  }
}
