import LMData
import Synchronization

/// Counts how often the words of a list occur in the blocks of a corpus: a number for every place of the
/// list and thread, however many other words there are.
final class ListCounting: BlockTask {
  private let list: WordList
  private let paths: [String]
  private let rule: SplitRule?
  private let tallies = Mutex<[Tally]>([])

  /// The counts of one thread.
  ///
  /// Unchecked because each belongs to one thread until all threads have ended.
  final class Tally: @unchecked Sendable {
    var counts: [Int]

    init(places: Int) { counts = Array(repeating: 0, count: places) }
  }

  init(list: WordList, paths: [String], rule: SplitRule?) {
    self.list = list
    self.paths = paths
    self.rule = rule
  }

  /// How often each word occurs, by its place in the list.
  var counts: [Int] {
    tallies.withLock { tallies in
      tallies.reduce(into: Array(repeating: 0, count: list.places)) { sums, tally in
        for place in sums.indices { sums[place] += tally.counts[place] }
      }
    }
  }

  func makeWorker() -> Tally {
    let tally = Tally(places: list.places)
    tallies.withLock { $0.append(tally) }
    return tally
  }

  func process(
    _ block: TextBlock, ofFile file: Int, with tally: Tally
  ) throws(TokenizerError) {
    let bytes = block.bytes
    guard let text = bytes.baseAddress else { return }
    var line = block.firstLine
    var isTraining = rule.map { $0.split(file: file, line: line) == 0 } ?? true
    var index = 0
    while index < bytes.count {
      if Words.isSpace(text[index]) {
        if text[index] == 0x0A {
          line += 1
          isTraining = rule.map { $0.split(file: file, line: line) == 0 } ?? true
        }
        index += 1
        continue
      }
      var end = index + 1
      while end < bytes.count && !Words.isSpace(text[end]) { end += 1 }
      let word = UnsafeBufferPointer(start: text + index, count: end - index)
      if isTraining {
        if let place = list.place(of: word) {
          tally.counts[place] += 1
        } else if !isValidUTF8(word) {
          throw .invalidUTF8(path: paths[file], line: line + 1)
        }
      }
      index = end
    }
  }

  func consume(_ product: Void, ofFile index: Int) {}

  func finish(file index: Int) {}
}
