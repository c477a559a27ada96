/// What words of a byte-pair-encoding model are made of, shared by all encoders.
///
/// Unchecked because of the table, which never changes.
final class MergePieces: @unchecked Sendable {
  struct Pair {
    fileprivate var key: UInt64 = 0
    /// What the two make, or -1.
    var id: Int32 = -1
    var score: Float = 0
  }

  let trie: PieceTrie
  let byteIDs: [Int32]
  /// Bytes of the longest piece.
  let longestPiece: Int

  /// Pairs of pieces that make a piece, by open addressing; a free place holds zero as its key.
  private let pairs: UnsafeMutablePointer<Pair>
  private let mask: Int

  /// Nothing for a model with a piece some character of which is no piece, nor for one with unused
  /// pieces, through which the library merges and which it takes apart again.
  init?(_ model: SentencePieceModel) {
    if model.hasUnusedPieces { return nil }
    let pieces = (0..<Int32(model.vocabularySize)).filter(model.isText).map {
      (id: $0, bytes: model.piece($0), score: model.score($0))
    }
    let trie = PieceTrie(pieces)
    self.trie = trie
    longestPiece = pieces.map(\.bytes.count).max() ?? 0
    byteIDs = model.byteIDs
    var found: [Pair] = []
    for (id, bytes, score) in pieces {
      var cut = 0
      while cut < bytes.count {
        let next = cut + characterLength(bytes[cut])
        if next > bytes.count || trie.id(of: bytes[cut..<next]) < 0 { return nil }
        let left = trie.id(of: bytes[..<cut])
        let right = trie.id(of: bytes[cut...])
        if cut > 0 && left >= 0 && right >= 0 {
          found.append(Pair(key: Self.key(left, right), id: id, score: score))
        }
        cut = next
      }
    }
    var capacity = 16
    while capacity < 2 * found.count { capacity *= 2 }
    mask = capacity - 1
    pairs = .allocate(capacity: capacity)
    pairs.initialize(repeating: Pair(), count: capacity)
    for pair in found { pairs[place(of: pair.key)] = pair }
  }

  deinit { pairs.deallocate() }

  /// What two neighbours make.
  @inline(__always)
  func pair(_ left: Int32, _ right: Int32) -> Pair { pairs[place(of: Self.key(left, right))] }

  @inline(__always)
  private func place(of key: UInt64) -> Int {
    var place = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
    while pairs[place].key != 0 && pairs[place].key != key { place = (place &+ 1) & mask }
    return place
  }

  private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right)) + 1
  }
}
