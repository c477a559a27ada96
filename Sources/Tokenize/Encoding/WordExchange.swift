import Synchronization

/// Words that the encoders of one pass over a corpus tell each other.
///
/// To find the pieces of a word takes ten times as long as to look them up, and without this every
/// thread would find those of all words for itself. What an encoder gives for a word follows from
/// the model alone, so the ids do not depend on who finds which word first.
package final class WordExchange: Sendable {
  /// New words of one encoder.
  struct Batch: Sendable {
    struct Word: Sendable {
      var length: UInt8
      var runs: UInt8
      var idCount: UInt16
      var safeIDs: Int32
    }

    /// Words that fit into a slot of ``WordTable``.
    private(set) var slots: [WordTable.Slot] = []
    /// All others.
    private(set) var words: [Word] = []
    private(set) var ids: [Int32] = []
    /// These words end to end, and `WordKey.padding` more.
    private(set) var bytes: [UInt8] = []

    var isEmpty: Bool { slots.isEmpty && words.isEmpty }

    mutating func append(_ slot: WordTable.Slot) { slots.append(slot) }

    mutating func append(
      _ word: UnsafeBufferPointer<UInt8>, ids newIDs: UnsafeBufferPointer<Int32>, runs: Int,
      safeIDs: Int32
    ) {
      words.append(
        Word(
          length: UInt8(word.count), runs: UInt8(runs), idCount: UInt16(newIDs.count),
          safeIDs: safeIDs))
      ids += newIDs
      bytes += word
    }

    mutating func close() { bytes += [UInt8](repeating: 0, count: WordKey.padding) }
  }

  /// Batches that wait for one encoder; older ones are dropped.
  private static let mostWaiting = 64

  private let mail = Mutex<[[Batch]]>([])

  package init() {}

  /// A number for a new member.
  func join() -> Int {
    mail.withLock { mail in
      mail.append([])
      return mail.count - 1
    }
  }

  /// Sends a batch to all other members and returns what they have sent to this one.
  func exchange(_ batch: Batch, of member: Int) -> [Batch] {
    mail.withLock { mail in
      if !batch.isEmpty {
        for other in mail.indices where other != member {
          if mail[other].count == Self.mostWaiting { mail[other].removeFirst() }
          mail[other].append(batch)
        }
      }
      let received = mail[member]
      mail[member] = []
      return received
    }
  }
}
