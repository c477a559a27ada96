import CommandSupport
import Storage
import Synchronization
import Tokenize

/// `lm-tokenize --write-vocabulary`: the words of the training text, the most frequent first.
enum VocabularyCommand {
  static func run(
    _ corpus: Corpus, rule: SplitRule?, minimum: Int, threads: Int, lineEnds: LineEnds,
    output: String
  ) throws {
    try WordListFile.check(output, inputs: corpus.files.map(\.path))
    let total = corpus.files(of: "train").reduce(0) { sum, file in
      sum + ((try? Files.size(of: PipeSpool.readable(file.path))) ?? 0)
    }
    let progress = Progress("counting words", total: Double(total)) {
      "\(Format.bytes(Int($0)))/s"
    }
    let seen = Mutex(0)
    var notes: [String] = []
    let counts = try WordCounts.count(
      corpus, rule: rule, minimum: minimum, threads: threads, lineEnds: lineEnds,
      noticed: { notes.append($0) },
      isCancelled: { Interrupt.isRequested },
      report: { now in
        let step = seen.withLock { seen in
          defer { seen = max(seen, now.diskBytes) }
          return max(0, now.diskBytes - seen)
        }
        progress.advance(Double(step))
      })
    progress.finish()
    for note in notes { Terminal.note("lm-tokenize: note: \(note)") }
    guard !counts.kept.isEmpty else {
      throw CommandError(
        "no word of the training text occurs \(minimum) times; give a smaller --min-count")
    }
    // What has come there meanwhile is not replaced either.
    try WordListFile.check(output, inputs: corpus.files.map(\.path))
    try counts.write(to: output)
    print(
      "\(output): \(Format.count(counts.kept.count)) of "
        + "\(Format.count(counts.types, "different word")), those seen at least "
        + "\(minimum == 1 ? "once" : "\(Format.count(minimum)) times"); all others are "
        + "\(Format.share(counts.words - counts.covered, of: counts.words)) of the "
        + "\(Format.count(counts.words, "word")) of the training text")
  }
}
