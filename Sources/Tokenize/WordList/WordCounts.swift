import Foundation
import LMData
import Storage
import Synchronization

/// How often each word occurs in a training text, as the beginning of a ``WordList``.
package struct WordCounts: Sendable, Equatable {
  package struct Entry: Sendable, Equatable {
    package let word: [UInt8]
    package let count: Int
  }

  /// The words that occur often enough, the most frequent first, equals in order of their bytes.
  package let kept: [Entry]
  /// Different words, markers not among them.
  package let types: Int
  /// Words of the text.
  package let words: Int

  /// Words of the text that are in the list.
  package var covered: Int { kept.reduce(0) { $0 + $1.count } }

  /// Counts the words of the training files.
  ///
  /// The result depends neither on the order of the files nor on the number of threads.
  ///
  /// - Parameters:
  ///   - rule: Leaves out the lines that are not for training, if set.
  ///   - minimum: How often a word must occur to be kept.
  ///   - lineEnds: What ends a line.
  ///   - noticed: Told of what is unusual in the files, a sentence each.
  package static func count(
    _ corpus: Corpus, rule: SplitRule? = nil, minimum: Int, threads: Int,
    lineEnds: LineEnds = .newline, noticed: (String) -> Void = { _ in },
    isCancelled: @escaping @Sendable () -> Bool = { false },
    report: @escaping @Sendable (CorpusProgress) -> Void = { _ in }
  ) throws(TokenizerError) -> WordCounts {
    let paths = corpus.files(of: "train").map(\.path)
    if paths.isEmpty {
      throw .options("there is no training text to count words of; give --corpus or --train")
    }
    let task = WordCounting(paths: paths, rule: rule)
    let pipeline = BlockPipeline(
      task: task, paths: paths, threads: threads, lineEnds: lineEnds, isCancelled: isCancelled,
      report: report)
    try pipeline.run()
    pipeline.notes.forEach(noticed)
    return task.result(minimum: minimum)
  }

  /// Writes one word and its count a line, separated by a tab, whole or not at all.
  package func write(to path: String) throws(TokenizerError) {
    var bytes: [UInt8] = []
    for entry in kept { bytes += entry.word + Array("\t\(entry.count)\n".utf8) }
    do { try AtomicFile.write(bytes, to: path) } catch { throw .storage(error) }
  }

  fileprivate init(_ table: WordTally, minimum: Int) {
    let all = table.entries.filter { !WordList.isMarker($0.word) }
    types = all.count
    words = table.entries.reduce(0) { $0 + $1.count }
    kept = all.filter { $0.count >= minimum }.sorted {
      $0.count != $1.count
        ? $0.count > $1.count : $0.word.lexicographicallyPrecedes($1.word)
    }
  }
}

/// Counts the words of the blocks of a corpus; every thread has a table of its own.
private final class WordCounting: BlockTask {
  private let paths: [String]
  private let rule: SplitRule?
  private let tables = Mutex<[WordTally]>([])

  init(paths: [String], rule: SplitRule?) {
    self.paths = paths
    self.rule = rule
  }

  func makeWorker() -> WordTally {
    let table = WordTally()
    tables.withLock { $0.append(table) }
    return table
  }

  func process(
    _ block: TextBlock, ofFile file: Int, with table: WordTally
  ) throws(TokenizerError) {
    try block.forEachTrainingWord(ofFile: file, path: paths[file], rule: rule) { word in
      table.add(word, times: 1)
    }
  }

  func consume(_ product: Void, ofFile index: Int) {}

  func finish(file index: Int) {}

  func result(minimum: Int) -> WordCounts {
    tables.withLock { tables in
      let total = WordTally()
      for table in tables { total.add(table) }
      return WordCounts(total, minimum: minimum)
    }
  }
}

/// Words with their counts, by open addressing.
///
/// Unchecked because each belongs to one thread until all threads have ended.
private final class WordTally: @unchecked Sendable {
  private struct Slot {
    var hash: UInt64 = 0
    var start = 0
    var length = 0
    var count = 0
  }

  private var slots = [Slot](repeating: Slot(), count: 1 << 12)
  private var used = 0
  private var bytes: [UInt8] = []

  var entries: [WordCounts.Entry] {
    slots.filter { $0.count > 0 }.map {
      WordCounts.Entry(word: Array(bytes[$0.start..<$0.start + $0.length]), count: $0.count)
    }
  }

  /// - Returns: Whether the word is UTF-8.
  func add(_ text: UnsafeBufferPointer<UInt8>, times: Int) -> Bool {
    guard let word = text.baseAddress else { return true }
    let length = text.count
    let hash = WordHash.hash(word, length)
    var place = Int(truncatingIfNeeded: hash) & (slots.count - 1)
    while slots[place].count > 0 {
      let slot = slots[place]
      if slot.hash == hash && slot.length == length
        && bytes.withUnsafeBufferPointer({ known in
          known.baseAddress.map { memcmp($0 + slot.start, word, length) == 0 } ?? false
        })
      {
        slots[place].count += times
        return true
      }
      place = (place + 1) & (slots.count - 1)
    }
    if !isValidUTF8(text) { return false }
    slots[place] = Slot(hash: hash, start: bytes.count, length: length, count: times)
    bytes += text
    used += 1
    if 2 * used > slots.count { grow() }
    return true
  }

  func add(_ other: WordTally) {
    other.bytes.withUnsafeBufferPointer { text in
      guard let text = text.baseAddress else { return }
      for slot in other.slots where slot.count > 0 {
        _ = add(
          UnsafeBufferPointer(start: text + slot.start, count: slot.length), times: slot.count)
      }
    }
  }

  private func grow() {
    var larger = [Slot](repeating: Slot(), count: 2 * slots.count)
    for slot in slots where slot.count > 0 {
      var place = Int(truncatingIfNeeded: slot.hash) & (larger.count - 1)
      while larger[place].count > 0 { place = (place + 1) & (larger.count - 1) }
      larger[place] = slot
    }
    slots = larger
  }
}
