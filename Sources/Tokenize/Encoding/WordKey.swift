import Foundation

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
