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
    let (slots, mask) = (self.slots.elements, self.mask)
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
    let (slots, mask) = (self.slots.elements, self.mask)
    var index = Int(truncatingIfNeeded: hash) & mask
    while slots[index].idCount != 0 { index = (index + 1) & mask }
    slots[index] = slot
  }

  private func grow() {
    let (old, count) = (slots, mask + 1)
    mask = min(4 * count, largestCapacity) - 1
    slots = ZeroedMemory(mask + 1)
    for index in 0..<count where old.elements[index].idCount != 0 {
      let slot = old.elements[index]
      let hash =
        slot.length > 16
        ? WordKey(bytes + Int(slot.bytes), count: Int(slot.length)).hash
        : WordKey.hash(head: slot.head, tail: slot.tail, count: Int(slot.length))
      put(slot, hash: hash)
    }
  }

  private func forget() {
    slots.elements.update(repeating: Slot(), count: mask + 1)
    words = 0
    idCount = 0
    byteCount = 0
  }
}
