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
    try block.forEachTrainingWord(ofFile: file, path: paths[file], rule: rule) { word in
      guard let place = list.place(of: word) else { return isValidUTF8(word) }
      tally.counts[place] += 1
      return true
    }
  }

  func consume(_ product: Void, ofFile index: Int) {}

  func finish(file index: Int) {}
}
