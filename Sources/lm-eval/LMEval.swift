import ArgumentParser
import Backends
import CommandSupport
import Deterministic
import Eval
import LMData
import Model
import Storage
import Tensor
import Tokenize

@main
struct LMEval: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lm-eval",
    abstract: "Measure the perplexity of a trained model on a text.",
    discussion: """
      Every sentence is scored whole: its pieces and the </s> that closes it,
      given <s>. Word perplexity divides by the words and one </s> a sentence,
      as the benchmark does; piece perplexity by the pieces and one </s> a
      sentence; bits per byte by the UTF-8 bytes, one newline a sentence
      included. The standard error is that of the word perplexity, by
      bootstrap over sentences. A model whose attention is a random estimate
      (sampled YOSO) is scored by its expectation and, beside that, as it was
      trained: mean and deviation over --hash-seeds draws. No figure depends on
      --threads, --batch-pieces or the order of the lines.
      SIGINT, SIGTERM and SIGHUP end it with nothing written; SIGUSR1 and SIGUSR2
      change nothing.

      EXAMPLES

        lm-eval --checkpoint checkpoints/first --data data --split test
        lm-eval --checkpoint checkpoints/first --data data --json
        lm-eval --checkpoint checkpoints/first --data data \\
          --split test valid heldout
        lm-eval --checkpoint checkpoints/unk --text news.txt --vocabulary words.txt
        lm-eval --checkpoint checkpoints/first checkpoints/second --data data
        lm-eval --compare checkpoints/first checkpoints/second --data data
        lm-eval --checkpoint checkpoints/first --data data --paper-line
        lm-eval --checkpoint checkpoints/first --data data --record
        lm-eval --report checkpoints/first --output first.html
        lm-eval --checkpoint checkpoints/first/step-00001000 \\
          --text news.txt more.txt.zst
        lm-eval --checkpoint checkpoints/first --text news.txt \\
          --score scores.tsv --per-piece
        lm-eval --checkpoint checkpoints/first --text nbest.txt \\
          --score nbest.scores --score-format kenlm
        lm-eval --audit --checkpoint checkpoints/first --text news.txt
        lm-eval --verify checkpoints/first

      UNKNOWN WORDS

      Without --vocabulary every word is spelt as it is and none is unknown.
      With it, words outside the list become <UNK> and are scored as that one
      word, as n-gram models and the literature do; their number and rate are
      printed. Such a figure can be compared only under the same list, and is
      fair only for a model that was trained on text made with it
      (lm-tokenize --vocabulary): its tokenizer has <UNK> as one piece. Other
      models spell <UNK> in pieces that they have not been trained on; the
      output says so. The literature's own file, with <S>, </S> and <UNK> in
      it, is read as it is.

      SEVERAL MODELS

      --checkpoint takes several, and prints a table. --compare A B also draws
      the sentences with replacement, the same for both (paired bootstrap,
      10,000 draws, fixed seed), and prints A minus B with standard error, 95 %
      interval and two-sided p.

      REPORTS

      --paper-line prints one line with unit, text, counts, context, rule for
      unknown words, parameters and checksums, to be quoted whole (--report
      paper does the same). --record keeps the figures in evaluations.jsonl of
      the run. --report RUN writes one HTML page, which needs nothing else:
      curves, configuration, recorded figures, incidents and samples.

      AUDIT

      --audit replaces later pieces, one at a time, all and some at random,
      and takes them away: every earlier log-probability must keep its bits.
      Probabilities must sum to 1, decoding must equal the full pass, and
      batches, order and threads must change nothing. It prints what it tried
      and a verdict; the exit code is 1 if anything failed. Without --data and
      --text it reads pieces drawn at random.

      JSON

      --json prints one object with the keys word_perplexity,
      piece_perplexity, bits_per_byte, nats, words, pieces, sentences, bytes
      and standard_error, and with a list of words out_of_vocabulary. words
      and pieces are those of the text, WITHOUT </s>; sentences is the number
      of </s>. What is not defined is null. For several models the object has
      the key evaluations, and with --compare the key comparison.

      SCORES

      --score writes a header that begins with # and one line a sentence, with
      tabs between the columns: nats, pieces, words (both without </s>), text.
      In the text \\t, \\r, \\n and \\\\ stand for tab, carriage return, newline
      and backslash. --score-format kenlm writes what query -v sentence of
      KenLM prints, in the order of the text: "Total: -12.3 OOV: 0", the log10
      of the sentence with </s> and its unknown words. --per-piece adds a fifth column with piece:logprob for
      every piece and for </s>, separated by single spaces: the number is in
      nats and begins after the last colon, ▁ stands for a space, and a byte
      that is no whole character by itself is written as \\xE2. --score - writes to
      standard output, and the table to standard error.

      TEXTS FROM ELSEWHERE

      --text - reads standard input; a pipe is kept in TMPDIR (/tmp) as long as
      lm-eval runs, so that it can be read more than once. A byte order mark at
      the beginning of a text is passed over, with a note. Carriage returns are
      text, with a note; --line-ends any takes CR LF and CR as line ends, as
      lm-tokenize does with the same option.
      """ + ExitStatus.help)

  @Flag(help: "Measure perplexity (the default).")
  var perplexity = false

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Run folder, whose newest good checkpoint is taken, or one checkpoint of it; several make a table.",
      valueName: "run"))
  var checkpoint: [String] = []

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Two runs or checkpoints: score both and test the difference.", valueName: "run"))
  var compare: [String] = []

  @Flag(help: "Look for ways in which the model sees the future, instead of measuring it.")
  var audit = false

  @Option(help: "Sentences that --audit reads.")
  var auditSentences = 50

  @Option(
    help: ArgumentHelp(
      "Compare all checksums of a run or of one checkpoint, then stop.", valueName: "run"))
  var verify: String?

  @Option(help: ArgumentHelp("Folder of shards made by lm-tokenize.", valueName: "dir"))
  var data: String?

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Split of --data (test); several are scored as one text.", valueName: "split"))
  var split: [String] = []

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Text files instead of --data, one sentence a line; .gz and .zst are read as they are; - is "
        + "standard input.",
      valueName: "file"))
  var text: [String] = []

  @Option(
    help: ArgumentHelp(
      "Score words outside this list as <UNK>; one word a line, on demand with a count.",
      valueName: "file"))
  var vocabulary: String?

  @Option(help: "sentence: each alone; stream: windows on the running text, with --data only.")
  var context = Context.sentence

  @Option(
    name: [.long, .customLong("stream-length")],
    help: "Window of --context stream in pieces, </s> included.")
  var length: Int?

  @Option(
    help: "What ends a line of --text: newline; any: CR LF and CR as well (Windows, old Macs).")
  var lineEnds = LineEnds.newline

  @Flag(help: "Print one JSON object instead of the table.")
  var json = false

  @Option(
    help: ArgumentHelp(
      "File for one line of scores a sentence; - for standard output, the table then goes to "
        + "standard error.", valueName: "file"))
  var score: String?

  @Option(help: "table: columns with a header; kenlm: Total and OOV, in log10.")
  var scoreFormat: ScoreFormat?

  @Flag(help: "Print one line to be quoted, which states everything that the figure depends on.")
  var paperLine = false

  @Flag(help: "Keep the figures in the run, where --report finds them.")
  var record = false

  @Option(
    help: ArgumentHelp(
      "Write a page about a run, then stop; beside --checkpoint, paper means --paper-line.",
      valueName: "run"))
  var report: String?

  @Option(
    name: [.short, .long],
    help: ArgumentHelp("File for --report (report.html in the run).", valueName: "file"))
  var output: String?

  @Flag(help: "Add the log-probability of every piece to --score.")
  var perPiece = false

  @Option(
    help: "Threads; results do not depend on them (all processors that this process may use).")
  var threads: Int?

  @Option(help: ArgumentHelp("Device.", visibility: .hidden))
  var device = "cpu"

  @Option(help: "Pieces scored at a time; bounds memory and changes nothing else.")
  var batchPieces = Evaluator.defaultPositions

  @Option(
    help: "Draws of a sampled attention that are scored beside its expectation; 0 for none.")
  var hashSeeds = 4

  enum Context: String, ExpressibleByArgument, CaseIterable { case sentence, stream }

  /// As the configuration of a run allows.
  private static let mostPieces = 1 << 26

  static func main() { runCommand() }

  /// The models to score, in the order in which they were given.
  var models: [String] { compare.isEmpty ? checkpoint : compare }

  /// Whether one line is to be printed, by either of its flags.
  var printsPaperLine: Bool { paperLine || report != nil }

  func validate() throws {
    try ThreadCount.validate(threads)
    if verify != nil {
      guard models.isEmpty, data == nil, text.isEmpty, !audit, report == nil else {
        throw ValidationError("--verify RUN stands alone")
      }
      return
    }
    if let report, models.isEmpty {
      guard data == nil, text.isEmpty, !audit, !record, !paperLine else {
        throw ValidationError(
          "--report RUN stands alone: it shows what the run has recorded; score it with "
            + "--checkpoint RUN --record first")
      }
      if report == "paper", !Files.isDirectory(report) {
        throw ValidationError("--report paper needs the model: give it with --checkpoint RUN")
      }
      return
    }
    if output != nil { throw ValidationError("--output belongs to --report RUN") }
    if let report, report != "paper" {
      throw ValidationError(
        "--report RUN stands alone; beside --checkpoint the only report is paper, not \(report)")
    }
    try validateModels()
    try validateText()
    try validateScoring()
  }

  private func validateModels() throws {
    guard checkpoint.isEmpty || compare.isEmpty else {
      throw ValidationError("give either --checkpoint RUN or --compare A B")
    }
    guard !models.isEmpty else {
      throw ValidationError("give the model with --checkpoint RUN")
    }
    guard compare.isEmpty || compare.count == 2 else {
      throw ValidationError("--compare takes two runs, not \(compare.count)")
    }
    if models.count > 1, audit || score != nil {
      throw ValidationError("--audit and --score are for one checkpoint at a time")
    }
    if audit, vocabulary != nil || printsPaperLine || record {
      throw ValidationError("--audit measures nothing: leave out what is about figures")
    }
    if json, printsPaperLine { throw ValidationError("give --json or --paper-line, not both") }
  }

  private func validateText() throws {
    guard (data == nil) != text.isEmpty || (audit && data == nil) else {
      throw ValidationError(
        "give the text with either --data DIR or --text FILE (- for standard input)")
    }
    if lineEnds != .newline, text.isEmpty {
      throw ValidationError(
        "--line-ends belongs to --text; for a data set it belongs to lm-tokenize")
    }
    let read = text + (vocabulary.map { [$0] } ?? [])
    guard read.count(where: { $0 == PipeSpool.standardInput }) < 2 else {
      throw ValidationError("standard input (-) is named twice, and can be only one text or list")
    }
    if !split.isEmpty, data == nil { throw ValidationError("--split belongs to --data") }
    if Set(split).count < split.count {
      throw ValidationError("--split names a split twice: its text would be counted twice")
    }
    guard (context == .stream) == (length != nil) else {
      throw ValidationError("--context stream and --length N belong together")
    }
    if let length, !(1...Self.mostPieces).contains(length) {
      throw ValidationError("--length is \(length), expected 1 to \(Self.mostPieces)")
    }
    if context == .stream, data == nil {
      throw ValidationError("--context stream needs --data DIR")
    }
    if context == .stream, score != nil {
      throw ValidationError("--score needs --context sentence: a window is no sentence")
    }
    if context == .stream, !compare.isEmpty {
      throw ValidationError("--compare draws sentences: it needs --context sentence")
    }
  }

  private func validateScoring() throws {
    guard (1...1_000_000).contains(auditSentences) else {
      throw ValidationError("--audit-sentences is \(auditSentences), expected 1 to 1000000")
    }
    guard (1...Self.mostPieces).contains(batchPieces) else {
      throw ValidationError("--batch-pieces is \(batchPieces), expected 1 to \(Self.mostPieces)")
    }
    guard (0...1_000_000).contains(hashSeeds) else {
      throw ValidationError("--hash-seeds is \(hashSeeds), expected 0 to 1000000")
    }
    if perPiece || scoreFormat != nil, score == nil {
      throw ValidationError("--per-piece and --score-format belong to --score FILE")
    }
    if let score, ScoreFile.isStandardOutput(score), json || printsPaperLine {
      throw ValidationError(
        "--score - fills standard output: leave out --json and --paper-line, or give a file")
    }
    if perPiece, scoreFormat == .kenlm {
      throw ValidationError("--per-piece is a column of the table: KenLM's lines have none")
    }
  }

  func run() throws {
    Parallel.threads = ThreadCount.resolve(threads, command: "lm-eval")
    if let verify { return try VerifyCommand.run(verify) }
    // While Ctrl-C still ends the program at once: a pipe may give its text slowly.
    for path in text + (vocabulary.map { [$0] } ?? []) { _ = try PipeSpool.readable(path) }
    if audit {
      var trained = try TrainedModel(
        models[0], on: Backend.named(device).makeKernels(), verifyingWeights: true,
        rebuiltTokenizer: HuggingFaceTokenizer.rebuilt,
        note: { Terminal.note("lm-eval: \($0)") })
      let tokenizer = try Self.tokenizer(of: &trained)
      return try AuditCommand(options: self, trained: trained, tokenizer: tokenizer).run()
    }
    if let report, models.isEmpty { return try ReportCommand.run(report, output: output) }
    Interrupt.handle(message: "lm-eval: stopping; nothing is written")
    try ScoreCommand(options: self).run()
  }

  /// The tokenizer of a checkpoint, if it is the one that the model was built for; the model takes its
  /// markers.
  static func tokenizer(of trained: inout TrainedModel) throws -> SentencePieceModel {
    let tokenizer = try SentencePieceModel(
      serialized: trained.tokenizer, path: trained.tokenizerPath)
    try trained.fit(vocabularySize: tokenizer.vocabularySize, special: tokenizer.special)
    for note in trained.notes { Terminal.note("lm-eval: \(note)") }
    return tokenizer
  }
}

extension LineEnds: ExpressibleByArgument {}
extension ScoreFormat: ExpressibleByArgument {}
