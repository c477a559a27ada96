package import Communication
package import LMData
package import Model

/// Scores a split of a data set.
package struct Validator {
  private let evaluator: Evaluator
  private let dataSet: DataSet
  private let split: String
  private let mode: SequenceMode
  private let pieceTable: PieceTable
  private let positions: Int
  private let communicator: any Communicator

  /// - Parameters:
  ///   - model: Scores on this rank.
  ///   - dataSet: Has the split.
  ///   - split: Its name.
  ///   - mode: What a sequence is.
  ///   - pieceTable: Spells the ids, to count words and bytes.
  ///   - positions: Positions scored at a time; it changes memory and nothing else.
  ///   - communicator: The ranks that score it together, batches in turn; all get the same figures.
  package init(
    model: Transformer, dataSet: DataSet, split: String, mode: SequenceMode = .sentences,
    pieceTable: PieceTable, positions: Int = Evaluator.defaultPositions,
    communicator: any Communicator = SingleProcess()
  ) {
    self.communicator = communicator
    evaluator = Evaluator(model, mode: mode)
    self.dataSet = dataSet
    self.split = split
    self.mode = mode
    self.pieceTable = pieceTable
    self.positions = positions
  }

  /// The tally of the first `limit` sequences of the split, or of all if it is 0.
  ///
  /// - Parameters:
  ///   - limit: Sequences to score, from the start; 0 for all.
  ///   - progress: Told after every sequence how many have been scored.
  package func tally(limit: Int = 0, progress: (Int) -> Void = { _ in }) throws -> Tally {
    var total = Tally()
    var count = 0
    var counter = StreamCounter(eos: dataSet.special.eos, pieces: pieceTable)
    try forEachSequence { score in
      total += counter.add(score)
      count += 1
      progress(count)
      return limit == 0 || count < limit
    }
    total += counter.rest()
    return total
  }

  /// Hands every scored sequence to `body` in file order until it returns false.
  ///
  /// Sequences that another rank has scored come without the figures of their targets.
  package func forEachSequence(_ body: (SequenceScore) throws -> Bool) throws {
    var source = try EvaluationSource(
      dataSet: dataSet, split: split, mode: mode, budget: positions)
    while true {
      var batches: [Batch] = []
      try communicator.together {
        while batches.count < communicator.size, let batch = try source.nextBatch() {
          batches.append(batch)
        }
      }
      if batches.isEmpty { return }
      for score in try scores(of: batches) where try !body(score) { return }
    }
  }

  /// The scores of a batch for every rank at most, in order.
  private func scores(of batches: [Batch]) throws -> [SequenceScore] {
    let rank = communicator.rank
    let own = try communicator.together {
      rank < batches.count ? try evaluator.score(batches[rank]) : []
    }
    if communicator.size == 1 { return own }
    let nats = try communicator.gather(own.map(\.nats))
    return batches.enumerated().flatMap { index, batch in
      (0..<batch.sequences).map {
        SequenceScore(targets: Array(batch.targets(of: $0)), nats: nats[index][$0])
      }
    }
  }
}

/// Counts sentences, words and bytes of sequences that follow each other in the text.
///
/// A window of stream mode may begin and end inside a sentence, even inside a word: words and
/// bytes are counted when the sentence ends.
struct StreamCounter {
  private let eos: Int32
  private let pieces: PieceTable
  /// Told of the text of every sentence that ends.
  private let reader: SentenceReader?
  /// Pieces of the sentence that has not ended yet.
  private var open: [Int32] = []

  init(eos: Int32, pieces: PieceTable, reader: SentenceReader? = nil) {
    self.eos = eos
    self.pieces = pieces
    self.reader = reader
  }

  /// The tally of the next sequence and of the sentences that end in it.
  mutating func add(_ score: SequenceScore) -> Tally {
    var tally = Tally()
    tally.nats = score.nats
    for target in score.targets {
      if target == eos {
        let (words, bytes) = pieces.measure(open)
        tally.words += words
        tally.bytes += bytes
        tally.sentences += 1
        reader?.read(pieces.decode(open))
        open.removeAll(keepingCapacity: true)
      } else {
        tally.pieces += 1
        open.append(target)
      }
    }
    return tally
  }

  /// Words and bytes of a sentence that was cut off, its newline not counted.
  mutating func rest() -> Tally {
    guard !open.isEmpty else { return Tally() }
    let (words, bytes) = pieces.measure(open)
    open.removeAll()
    return Tally(nats: 0, pieces: 0, sentences: 0, words: words, bytes: bytes - 1)
  }
}

/// What is known of a text beside its probability: its checksums and its unknown words.
final class SentenceReader {
  private var digest = TextDigest()
  private(set) var unknownWords = 0
  /// Unknown words of the last sentence.
  private(set) var lastUnknownWords = 0
  private let countsUnknownWords: Bool

  /// - Parameter countsUnknownWords: Whether `<UNK>` stands for unknown words in this text.
  init(countsUnknownWords: Bool) {
    self.countsUnknownWords = countsUnknownWords
  }

  /// - Parameter original: The line before words were replaced, if some may have been.
  func read(_ text: [UInt8], original: [UInt8]? = nil) {
    digest.add(line: original ?? text)
    guard countsUnknownWords else { return }
    lastUnknownWords = Words.countUnknown(in: text)
    unknownWords += lastUnknownWords
  }

  /// Puts what was found into a report.
  func complete(_ report: inout PerplexityReport) {
    report.textSums = digest.finalize()
    if countsUnknownWords { report.unknownWords = unknownWords }
  }
}
