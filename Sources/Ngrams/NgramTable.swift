import Foundation

/// The n-grams of one order by the hash of their words: probability and backoff weight, both log10.
///
/// Open addressing with linear probing; two thirds of the places are taken. An n-gram takes 16 bytes, so 24
/// with the places that stay free. Words are not kept: of 30 million n-grams, two have the same hash of 64
/// bits with a chance of 2.4e-5, and the reader refuses them.
final class NgramTable {
  private struct Entry {
    /// 0 where the place is free.
    var key: UInt64
    var probability: Float
    var backoff: Float
  }

  private let capacity: Int
  private let entries: UnsafeMutablePointer<Entry>
  private(set) var count = 0

  /// - Parameter count: N-grams that it will hold.
  init(count: Int) {
    capacity = Self.capacity(count)
    // Zeroed by the system page by page, as it fills.
    guard let memory = calloc(capacity, MemoryLayout<Entry>.stride) else {
      fatalError("no memory for \(capacity) n-grams, which was asked for before")
    }
    entries = memory.bindMemory(to: Entry.self, capacity: capacity)
  }

  deinit { free(entries) }

  /// Bytes of a table for so many n-grams.
  static func bytes(count: Int) -> Int { capacity(count) * MemoryLayout<Entry>.stride }

  private static func capacity(_ count: Int) -> Int { count + count / 2 + 8 }

  /// Adds an n-gram; false if its hash is there already.
  func insert(_ key: UInt64, probability: Float, backoff: Float) -> Bool {
    precondition(count + 1 < capacity, "more n-grams than were announced")
    var place = start(of: key)
    while entries[place].key != 0 {
      if entries[place].key == key { return false }
      place = place + 1 == capacity ? 0 : place + 1
    }
    entries[place] = Entry(key: key, probability: probability, backoff: backoff)
    count += 1
    return true
  }

  /// Gives an n-gram that is there other figures.
  func replace(_ key: UInt64, probability: Float, backoff: Float) {
    var place = start(of: key)
    while entries[place].key != key {
      precondition(entries[place].key != 0, "an n-gram that is not there")
      place = place + 1 == capacity ? 0 : place + 1
    }
    entries[place].probability = probability
    entries[place].backoff = backoff
  }

  /// Log10 of probability and backoff weight; nil if the n-gram is not there.
  func find(_ key: UInt64) -> (probability: Float, backoff: Float)? {
    var place = start(of: key)
    while entries[place].key != 0 {
      if entries[place].key == key {
        return (entries[place].probability, entries[place].backoff)
      }
      place = place + 1 == capacity ? 0 : place + 1
    }
    return nil
  }

  private func start(of key: UInt64) -> Int {
    Int(key.multipliedFullWidth(by: UInt64(capacity)).high)
  }
}
