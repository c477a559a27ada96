import ArgumentParser
import CommandSupport
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

      EXAMPLES

        lm-eval --checkpoint checkpoints/first --data data --split test
        lm-eval --checkpoint checkpoints/first --data data --json
        lm-eval --checkpoint checkpoints/first/step-00001000 \\
          --text news.txt more.txt.zst
        lm-eval --checkpoint checkpoints/first --text news.txt \\
          --score scores.tsv --per-piece
        lm-eval --audit --checkpoint checkpoints/first --text news.txt
        lm-eval --verify checkpoints/first

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
      and standard_error. words and pieces are those of the text, WITHOUT
      </s>; sentences is the number of </s>. What is not defined is null.

      SCORES

      --score writes a header that begins with # and one line a sentence, with
      tabs between the columns: nats, pieces, words (both without </s>), text.
      In the text \\t, \\r, \\n and \\\\ stand for tab, carriage return, newline
      and backslash. --per-piece adds a fifth column with piece:logprob for
      every piece and for </s>, separated by single spaces: the number is in
      nats and begins after the last colon, ▁ stands for a space, and a byte
      that is no whole character by itself is written as \\xE2.
      """)

  @Flag(help: "Measure perplexity (the default).")
  var perplexity = false

  @Option(
    help: ArgumentHelp(
      "Run folder, whose newest checkpoint is taken, or one checkpoint of it.", valueName: "run"))
  var checkpoint: String?

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

  @Option(help: "Split of --data (test).")
  var split: String?

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Text files instead of --data, one sentence a line; .gz and .zst are read as they are.",
      valueName: "file"))
  var text: [String] = []

  @Option(help: "sentence: each alone; stream: windows on the running text, with --data only.")
  var context = Context.sentence

  @Option(
    name: [.long, .customLong("stream-length")],
    help: "Window of --context stream in pieces, </s> included.")
  var length: Int?

  @Flag(help: "Print one JSON object instead of the table.")
  var json = false

  @Option(help: ArgumentHelp("File for one line of scores a sentence.", valueName: "file"))
  var score: String?

  @Flag(help: "Add the log-probability of every piece to --score.")
  var perPiece = false

  @Option(help: "Threads; results do not depend on them (all processors).")
  var threads: Int?

  @Option(help: "Pieces scored at a time; bounds memory and changes nothing else.")
  var batchPieces = Evaluator.defaultPositions

  @Option(
    help: "Draws of a sampled attention that are scored beside its expectation; 0 for none.")
  var hashSeeds = 4

  enum Context: String, ExpressibleByArgument, CaseIterable { case sentence, stream }

  static func main() { runCommand() }

  func validate() throws {
    if verify != nil {
      guard checkpoint == nil, data == nil, text.isEmpty, !audit else {
        throw ValidationError("--verify RUN stands alone")
      }
      return
    }
    guard checkpoint != nil else {
      throw ValidationError("give the model with --checkpoint RUN")
    }
    guard (data == nil) != text.isEmpty || (audit && data == nil) else {
      throw ValidationError("give the text with either --data DIR or --text FILE")
    }
    guard auditSentences >= 1 else {
      throw ValidationError("--audit-sentences is \(auditSentences), expected 1 or more")
    }
    if split != nil, data == nil { throw ValidationError("--split belongs to --data") }
    if let threads, threads < 1 {
      throw ValidationError("--threads is \(threads), expected 1 or more")
    }
    guard batchPieces >= 1 else {
      throw ValidationError("--batch-pieces is \(batchPieces), expected 1 or more")
    }
    guard hashSeeds >= 0 else {
      throw ValidationError("--hash-seeds is \(hashSeeds), expected 0 or more")
    }
    if perPiece, score == nil { throw ValidationError("--per-piece belongs to --score FILE") }
    guard (context == .stream) == (length != nil) else {
      throw ValidationError("--context stream and --length N belong together")
    }
    if let length, length < 1 { throw ValidationError("--length is \(length), expected 1 or more") }
    if context == .stream, data == nil {
      throw ValidationError("--context stream needs --data DIR")
    }
    if context == .stream, score != nil {
      throw ValidationError("--score needs --context sentence: a window is no sentence")
    }
  }

  func run() throws {
    if let threads { Parallel.threads = threads }
    if let verify { return try VerifyCommand.run(verify) }
    // A verdict waits for the sum of the weights; figures are computed meanwhile.
    let trained = try TrainedModel(checkpoint ?? "", verifyingWeights: audit)
    let tokenizer = try SentencePieceModel(
      serialized: trained.tokenizer, path: trained.tokenizerPath)
    try trained.check(vocabularySize: tokenizer.vocabularySize, special: tokenizer.special)
    if audit {
      return try AuditCommand(options: self, trained: trained, tokenizer: tokenizer).run()
    }
    let weights = WeightCheck(trained)
    Interrupt.handle(message: "lm-eval: stopping; nothing is written")
    let source = try Source(self, trained: trained, tokenizer: tokenizer)
    let pieces = tokenizer.pieceTable()
    let scores = try score.map { try ScoreFile(path: $0, pieces: perPiece ? pieces : nil) }
    let report = try weights.during {
      let model = try trained.config.attention.expectation.map { try trained.model(with: $0) }
      var report = try Self.measure(
        source, scorer(model ?? trained.model, pieces), "scoring \(source.name)", into: scores)
      if model != nil, hashSeeds > 0 {
        report.sampled = try sampled(source, trained, pieces)
      }
      return report
    }
    try scores?.finish()
    if json {
      print(String(decoding: try JSONFile.encode(report), as: UTF8.self), terminator: "")
    } else {
      print(ReportTable.describe(report, checkpoint: trained.path, text: source.name))
    }
  }

  private func scorer(_ model: Transformer, _ pieces: PieceTable) -> PerplexityScorer {
    PerplexityScorer(model: model, pieceTable: pieces, positions: batchPieces)
  }

  private static func measure(
    _ source: Source, _ scorer: PerplexityScorer, _ title: String, into scores: ScoreFile? = nil
  ) throws -> PerplexityReport {
    var scorer = scorer
    if let scores { scorer.sink = { try scores.append($0) } }
    let progress = Progress(title, total: source.bytes) { "\(Format.bytes(Int($0)))/s" }
    var seen = 0
    scorer.progress = { tally in
      if Interrupt.isRequested { throw ExitCode(130) }
      progress.advance(Double(tally.bytes - seen))
      seen = tally.bytes
    }
    let report = try source.report(scorer)
    progress.finish()
    return report
  }

  /// The same text under the attention as it was trained, once for every draw of its numbers.
  private func sampled(
    _ source: Source, _ trained: TrainedModel, _ pieces: PieceTable
  ) throws -> EstimateSpread {
    let seeds = (0..<hashSeeds).map(UInt64.init)
    let perplexities = try seeds.map { seed in
      trained.model.evaluationSeed = seed
      return try Self.measure(
        source, scorer(trained.model, pieces), "scoring with hashes of seed \(seed)"
      ).tally.wordPerplexity
    }
    return EstimateSpread(
      attention: "\(trained.config.attention)", seeds: seeds, wordPerplexities: perplexities)
  }
}
