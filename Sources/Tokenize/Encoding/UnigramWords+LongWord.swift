import Foundation

/// The best path through a word that is too long to hold what is known of every byte at once.
///
/// The same steps in the same arithmetic as ``UnigramWords/roundedPath(_:after:into:)``, but only the
/// sums within the reach of a piece are kept, and of every byte the length of the piece that ends
/// there. All paths that may still win soon have one beginning, which is written out.
extension UnigramWords {
  /// Words of more bytes are encoded this way.
  static let longWord = 1 << 12

  /// Appends the pieces of a word that follows pieces of the given total score.
  ///
  /// - Parameter word: ``LineEncoder/padding`` more bytes must be readable.
  func appendLong(
    _ word: UnsafeBufferPointer<UInt8>, after score: Float, to result: EncodedLines
  ) {
    guard let base = word.baseAddress else { return }
    var path = LongPath(pieces: pieces, text: base, count: word.count, score: score)
    path.walk(into: result)
  }
}

/// A walk through a long word.
///
/// Places are those of its text with the space before it, `▁`.
private struct LongPath {
  private static let marker = WordMarker.bytes.count

  private let pieces: UnigramPieces
  private let text: UnsafePointer<UInt8>
  /// Bytes of the space and the word.
  private let count: Int
  /// The most bytes from where a step starts to where it ends.
  private let reach: Int

  /// Best scores by place; those within reach of each other have places of their own.
  private var scores: [Float]

  /// For places from `settled` on, the bytes of the step that ends there, or 0.
  private var steps: [UInt32] = []
  private var settled = 0

  /// Bytes after which the common beginning is looked for.
  private static let stride = 1 << 15

  init(pieces: UnigramPieces, text: UnsafePointer<UInt8>, count: Int, score: Float) {
    self.pieces = pieces
    self.text = text
    self.count = count + Self.marker
    reach = max(pieces.longestPiece, 4)
    var room = 16
    while room < reach + 1 { room *= 2 }
    scores = [Float](repeating: 0, count: room)
    scores[0] = score
  }

  mutating func walk(into result: EncodedLines) {
    var start = 0
    var next = Self.stride
    steps = [UInt32](repeating: 0, count: 2 * Self.stride + reach)
    while start < count {
      start = step(from: start)
      if start >= next && start < count {
        settle(at: start, into: result)
        next = start + Self.stride
      }
    }
    write(to: count, into: result)
  }

  /// Offers all pieces that begin at a character, in the library's order.
  ///
  /// - Returns: The next character.
  private mutating func step(from start: Int) -> Int {
    let room = start + reach + 1 - settled
    if room > steps.count {
      steps.append(contentsOf: repeatElement(0, count: max(steps.count, room - steps.count)))
    }
    let before = scores[start & (scores.count - 1)]
    let length = start == 0 ? Self.marker : min(characterLength(byte(start)), count - start)
    var isPiece = false
    if start == 0 {
      // The only pieces that begin with the space.
      let head = WordMarker.bytes + UnsafeBufferPointer(start: text, count: min(reach, count - 3))
      head.withUnsafeBufferPointer { head in
        guard let head = head.baseAddress else { return }
        pieces.trie.forEachPrefix(of: head, from: 0, to: min(reach, count)) { end, _, score in
          if end == length { isPiece = true }
          offer(Double(score) + Double(before), from: 0, to: end)
        }
      }
    } else if !isMarker(at: start) {
      pieces.trie.forEachPrefix(
        of: text, from: start - Self.marker, to: count - Self.marker
      ) { end, _, score in
        if end + Self.marker - start == length { isPiece = true }
        offer(Double(score) + Double(before), from: start, to: end + Self.marker)
      }
    }
    if !isPiece { offer(Double(pieces.unknownScore + before), from: start, to: start + length) }
    return start + length
  }

  @inline(__always)
  private mutating func offer(_ score: Double, from start: Int, to end: Int) {
    let slot = end & (scores.count - 1)
    if steps[end - settled] == 0 || score > Double(scores[slot]) {
      scores[slot] = Float(score)
      steps[end - settled] = UInt32(truncatingIfNeeded: end - start)
    }
  }

  private func byte(_ place: Int) -> UInt8 { text[place - Self.marker] }

  /// Whether a `▁` of the text itself stands here, which is spelled by its bytes.
  private func isMarker(at start: Int) -> Bool {
    start >= Self.marker && start + 3 <= count
      && byte(start) == 0xE2 && byte(start + 1) == 0x96 && byte(start + 2) == 0x81
  }

  /// Writes out what all paths to the places from `start` on have in common.
  private mutating func settle(at start: Int, into result: EncodedLines) {
    var live: Set<Int> = []
    for end in start...min(start + reach, count) {
      let length = Int(steps[end - settled])
      if length > 0 { live.insert(end - length) }
    }
    while live.count > 1, let last = live.max(), last > settled {
      live.remove(last)
      live.insert(last - Int(steps[last - settled]))
    }
    guard live.count == 1, let common = live.first, common > settled else { return }
    write(to: common, into: result)
    let kept = min(start + reach, count) - common + 1
    for place in 0..<kept { steps[place] = steps[place + common - settled] }
    for place in kept..<steps.count { steps[place] = 0 }
    settled = common
  }

  /// Writes the pieces of the path from `settled` to a place.
  private func write(to place: Int, into result: EncodedLines) {
    var total = 0
    forEachPiece(backFrom: place) { start, end, id in total += id >= 0 ? 1 : end - start }
    result.reserve(total)
    var target = result.idCount + total
    result.idCount = target
    forEachPiece(backFrom: place) { start, end, id in
      if id >= 0 {
        target -= 1
        result.ids[target] = id
        return
      }
      for place in (start..<end).reversed() {
        target -= 1
        let byte = place < Self.marker ? WordMarker.bytes[place] : byte(place)
        result.ids[target] = pieces.byteIDs[Int(byte)]
      }
    }
  }

  /// Calls `body(start, end, id)` for every step up to a place, the last one first; the id is -1 for a
  /// character that is no piece.
  private func forEachPiece(backFrom place: Int, _ body: (Int, Int, Int32) -> Void) {
    var end = place
    while end > settled {
      let start = end - Int(steps[end - settled])
      precondition(start < end, "no path through the word")
      var id: Int32 = -1
      if start == 0 {
        id = pieces.trie.id(
          of: WordMarker.bytes
            + UnsafeBufferPointer(start: text, count: end - Self.marker))
      } else if !isMarker(at: start) {
        id = pieces.trie.id(
          of: UnsafeBufferPointer(start: text + start - Self.marker, count: end - start))
      }
      body(start, end, id)
      end = start
    }
  }
}
