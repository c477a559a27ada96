import CProcessor

/// The ids of most words of a text, laid out for speed; the property of one worker.
///
/// Two slots of 32 bytes share a line of the processor's cache. A word has its place in one such
/// pair or none, so that a look takes the same few steps whether it succeeds or not and no text
/// can make it slow. Words of up to ``longestWord`` bytes and ``mostIDs`` ids lie whole in their
/// slot; the first to come to a pair stay, which mostly are the most frequent ones.
final class WordTable {
  struct Slot {
    /// The word's first eight bytes, then zeros.
    var head: UInt64 = 0
    /// Its other bytes, then zeros; in the top byte its length plus one, so that none is free.
    var tail: UInt64 = 0
    /// Up to three ids, then ``Answer``.
    var answer = SIMD4<Int32>()

    /// Calls `body` with the bytes and the ids of the word; ``LineEncoder/padding`` more bytes may
    /// be read.
    func withWord(_ body: (UnsafeBufferPointer<UInt8>, UnsafeBufferPointer<Int32>) -> Void) {
      let bytes = SIMD4(head.littleEndian, tail.littleEndian, 0, 0)
      withUnsafeBytes(of: bytes) { bytes in
        withUnsafeBytes(of: answer) { ids in
          body(
            UnsafeBufferPointer(rebasing: bytes.bindMemory(to: UInt8.self)[..<Int(tail >> 56 - 1)]),
            UnsafeBufferPointer(
              rebasing: ids.bindMemory(to: Int32.self)[..<Answer(answer).idCount]))
        }
      }
    }
  }

  /// What is known of a word beside its ids, in 32 bits.
  struct Answer {
    let bits: UInt32

    @inline(__always)
    init(_ answer: SIMD4<Int32>) { bits = UInt32(bitPattern: answer[3]) }

    init(idCount: Int, runs: Int, safeIDs: Int32) {
      // The largest power of two of which every smaller number of ids is safe.
      let shift = 63 - (Int(safeIDs) + 1).leadingZeroBitCount
      bits = UInt32(idCount) | UInt32(runs) << 8 | UInt32(shift) << 16
    }

    @inline(__always)
    var idCount: Int { Int(bits & 0xFF) }

    /// Runs of bytes that are no white space; more than one if the word holds a tab, say.
    @inline(__always)
    var runs: Int { Int(bits >> 8 & 0xFF) }

    /// So many ids may be before the word in its line.
    var safeIDs: Int32 { Int32(truncatingIfNeeded: 1 << safeBits - 1) }

    /// Fewer than two to this power ids may be before the word in its line.
    @inline(__always)
    var safeBits: Int { Int(bits >> 16) }
  }

  /// As the tail of a word: in no slot.
  static let noWord = UInt64.max
  static let longestWord = 15
  static let mostIDs = 3

  let slots: UnsafeMutablePointer<Slot>
  private let memory: ZeroedMemory<Slot>
  /// Number of pairs less one.
  let mask: Int
  /// For each length, what to keep of the first and of the second eight bytes.
  let masks: UnsafeMutablePointer<(UInt64, UInt64)>

  /// - Parameter capacity: Number of slots, a power of two.
  init(capacity: Int) {
    precondition(capacity >= 2 && capacity & (capacity - 1) == 0)
    mask = capacity / 2 - 1
    memory = ZeroedMemory(capacity)
    slots = memory.elements
    masks = .allocate(capacity: 17)
    for count in 0...16 {
      let low = count >= 8 ? UInt64.max : 1 << UInt64(8 * count) - 1
      let high = count <= 8 ? 0 : count == 16 ? UInt64.max : 1 << UInt64(8 * (count - 8)) - 1
      (masks + count).initialize(to: (low, high))
    }
  }

  deinit { masks.deallocate() }

  /// What became of a word.
  enum Insertion {
    case done
    case alreadyThere
    case noPlace
  }

  /// What a slot holds of a word, if one is large enough for it.
  static func slot(
    _ word: UnsafeBufferPointer<UInt8>, ids: UnsafeBufferPointer<Int32>, runs: Int, safeIDs: Int32
  ) -> Slot? {
    guard word.count <= longestWord, ids.count <= mostIDs, safeIDs >= 0 else { return nil }
    let answer = Answer(idCount: ids.count, runs: runs, safeIDs: safeIDs)
    var (head, tail) = (UInt64(0), UInt64(word.count + 1) << 56)
    for (place, byte) in word.enumerated() {
      if place < 8 {
        head |= UInt64(byte) << UInt64(8 * place)
      } else {
        tail |= UInt64(byte) << UInt64(8 * (place - 8))
      }
    }
    var packed = SIMD4<Int32>(0, 0, 0, Int32(bitPattern: answer.bits))
    for (place, id) in ids.enumerated() { packed[place] = id }
    return Slot(head: head, tail: tail, answer: packed)
  }

  /// Asks the processor for the place of a word.
  func prefetch(_ word: Slot) { cp_prefetch(slots + 2 * Self.pair(word.head, word.tail, mask)) }

  /// Remembers a word, if there is a place for it.
  func insert(_ word: Slot) -> Insertion {
    let pair = slots + 2 * Self.pair(word.head, word.tail, mask)
    for place in 0..<2 {
      let slot = pair + place
      if slot.pointee.tail == 0 {
        slot.pointee = word
        return .done
      }
      if slot.pointee.head == word.head && slot.pointee.tail == word.tail { return .alreadyThere }
    }
    return .noPlace
  }

  func forget() { slots.update(repeating: Slot(), count: 2 * (mask + 1)) }

  /// The pair of slots of a word.
  @inline(__always)
  static func pair(_ head: UInt64, _ tail: UInt64, _ mask: Int) -> Int {
    let product = (head ^ 0x9E37_79B9_7F4A_7C15)
      .multipliedFullWidth(by: tail ^ 0xE703_7ED1_A0B4_28DB)
    return Int(truncatingIfNeeded: product.high ^ product.low) & mask
  }
}
