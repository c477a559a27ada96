import Foundation

/// A bounded table of the words that ``WordTable`` has no place for; the property of one worker.
///
/// Open addressing in slots of 32 bytes. Words of up to 16 bytes lie in their slot, the rest of
/// the longer ones in an arena. When it is full everything is forgotten: that costs a moment and
/// follows a corpus that changes.
final class WordCache {
  /// What is known of a word, and 16 of its bytes.
  struct Slot {
    var head: UInt64 = 0
    var tail: UInt64 = 0
    var ids: UInt32 = 0
    var bytes: UInt32 = 0
    /// Zero where the slot is free: even the empty word has a piece.
    var idCount: UInt16 = 0
    var length: UInt8 = 0
    /// Runs of bytes that are no white space; more than one if the word holds a tab, say.
    var runs: UInt8 = 0
    /// Ids before the word in its line up to which the ids here are certain.
    var safeIDs: Int32 = 0
  }

  /// Longest word that is remembered, in bytes.
  static let longestWord = 96

  let ids: UnsafeMutablePointer<Int32>
  private var slots: ZeroedMemory<Slot>
  private var mask: Int
  private let bytes: UnsafeMutablePointer<UInt8>
  private let largestCapacity: Int
  private let idCapacity: Int
  private let byteCapacity: Int
  private var words = 0
  private var idCount = 0
  private var byteCount = 0

  /// - Parameter capacity: Largest number of slots, a power of two; three quarters are used.
  init(capacity: Int) {
    precondition(capacity >= 16 && capacity & (capacity - 1) == 0)
    largestCapacity = capacity
    // Most texts need few, and the processor is faster with a small table.
    mask = min(capacity, 1 << 13) - 1
    slots = ZeroedMemory(mask + 1)
    idCapacity = 4 * capacity + 4 * Self.longestWord
    byteCapacity = 8 * capacity + 4 * Self.longestWord
    ids = .allocate(capacity: idCapacity)
    bytes = .allocate(capacity: byteCapacity)
  }

  deinit {
    ids.deallocate()
    bytes.deallocate()
  }

  /// What is known of a word; eight bytes may be read from its start whatever its length.
  func find(_ word: UnsafePointer<UInt8>, count: Int, key: WordKey) -> Slot? {
    let (slots, mask) = (self.slots.base, self.mask)
    var index = Int(truncatingIfNeeded: key.hash) & mask
    while slots[index].idCount != 0 {
      let slot = slots[index]
      if slot.head == key.head && slot.tail == key.tail && Int(slot.length) == count
        && (count <= 16 || memcmp(bytes + Int(slot.bytes), word, count) == 0)
      {
        return slot
      }
      index = (index + 1) & mask
    }
    return nil
  }

  /// Remembers a word that is not in the table.
  ///
  /// - Returns: Whether all others had to be forgotten.
  func insert(
    _ word: UnsafeBufferPointer<UInt8>, key: WordKey, ids newIDs: UnsafeBufferPointer<Int32>,
    runs: Int, safeIDs: Int32
  ) -> Bool {
    precondition(word.count <= Self.longestWord && !newIDs.isEmpty)
    let extra = word.count > 16 ? word.count : 0
    var isFull = idCount + newIDs.count > idCapacity || byteCount + extra > byteCapacity
    if words == (mask + 1) / 4 * 3 {
      if mask + 1 < largestCapacity { grow() } else { isFull = true }
    }
    if isFull { forget() }
    put(
      Slot(
        head: key.head, tail: key.tail, ids: UInt32(idCount), bytes: UInt32(byteCount),
        idCount: UInt16(newIDs.count), length: UInt8(word.count), runs: UInt8(runs),
        safeIDs: safeIDs), hash: key.hash)
    for id in newIDs {
      ids[idCount] = id
      idCount += 1
    }
    if extra > 0, let source = word.baseAddress {
      memcpy(bytes + byteCount, source, extra)
      byteCount += extra
    }
    words += 1
    return isFull
  }

  private func put(_ slot: Slot, hash: UInt64) {
    let (slots, mask) = (self.slots.base, self.mask)
    var index = Int(truncatingIfNeeded: hash) & mask
    while slots[index].idCount != 0 { index = (index + 1) & mask }
    slots[index] = slot
  }

  private func grow() {
    let (old, count) = (slots, mask + 1)
    mask = min(4 * count, largestCapacity) - 1
    slots = ZeroedMemory(mask + 1)
    for index in 0..<count where old.base[index].idCount != 0 {
      let slot = old.base[index]
      let hash =
        slot.length > 16
        ? WordKey(bytes + Int(slot.bytes), count: Int(slot.length)).hash
        : WordKey.hash(head: slot.head, tail: slot.tail, count: Int(slot.length))
      put(slot, hash: hash)
    }
  }

  private func forget() {
    slots.base.update(repeating: Slot(), count: mask + 1)
    words = 0
    idCount = 0
    byteCount = 0
  }
}

/// A word's first and last eight bytes and its hash.
struct WordKey {
  var head: UInt64
  var tail: UInt64
  var hash: UInt64

  /// Bytes that may be read past the end of a word.
  static let padding = 8

  /// The key of a word; eight bytes may be read from its start whatever its length.
  @inline(__always)
  init(_ word: UnsafePointer<UInt8>, count: Int) {
    let raw = UnsafeRawPointer(word)
    let first = UInt64(littleEndian: raw.loadUnaligned(as: UInt64.self))
    if count <= 8 {
      head = count == 8 ? first : first & ((1 << UInt64(count &* 8)) &- 1)
      tail = 0
    } else {
      head = first
      tail = UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self))
    }
    hash = Self.hash(head: head, tail: tail, count: count)
    var offset = 8
    while offset &+ 8 < count {
      let middle = UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
      hash = Self.fold(hash ^ middle, 0x8EBC_6AF0_9C88_C6E3)
      offset &+= 8
    }
  }

  /// The hash of a word of at most 16 bytes.
  @inline(__always)
  static func hash(head: UInt64, tail: UInt64, count: Int) -> UInt64 {
    fold(
      head ^ 0x9E37_79B9_7F4A_7C15,
      tail ^ (UInt64(truncatingIfNeeded: count) &* 0xE703_7ED1_A0B4_28DB))
  }

  @inline(__always)
  private static func fold(_ a: UInt64, _ b: UInt64) -> UInt64 {
    let product = a.multipliedFullWidth(by: b | 1)
    return product.high ^ product.low
  }
}
