import ArgumentParser
import CommandSupport
import Communication
import Foundation
import LMData
import Provenance
import Tokenize

extension LineEnds: ExpressibleByArgument {}
extension ModelType: ExpressibleByArgument {
  public init?(argument: String) {
    guard let type = ModelType.allCases.first(where: { $0.rawValue == argument }) else {
      return nil
    }
    self = type
  }
}

@main
struct LMTokenize: ParsableCommand, RankedCommand {
  static let configuration = CommandConfiguration(
    commandName: "lm-tokenize",
    abstract: "Turn text into a tokenizer and shards of token ids, ready for training.",
    discussion: """
      Text has one sentence to a line and is UTF-8; files may end in .gz or .zst,
      pipes are read as well, and - is standard input.
      The output folder holds tokenizer.model, the shards and manifest.json. It
      appears once complete, and the same text, options and seed give the same
      bytes whatever the number of threads. SIGINT, SIGTERM and SIGHUP end it with
      nothing written; SIGUSR1 and SIGUSR2 change nothing, as nothing can be saved.

      EXAMPLES

        The One Billion Word benchmark, as its archive unpacks:
          lm-tokenize --corpus 1-billion-word-language-modeling-benchmark-r13output \\
            --output data/1bw

        Your own text, one line in a hundred held out for validation and for testing:
          lm-tokenize --train corpus.txt.gz --split-valid 0.01 --split-test 0.01 \\
            --vocab-size 8000 --output data/own

        More text with a tokenizer made before:
          lm-tokenize --train more/ --tokenizer data/own/tokenizer.model \\
            --output data/more

        Words seen at least 3 times in the training text, and a data set in which
        every other word is <UNK>, as the n-gram models of the literature are trained:
          lm-tokenize --corpus DIR --write-vocabulary words.txt --min-count 3
          lm-tokenize --corpus DIR --vocabulary words.txt --vocab-size 32000 \\
            --output data/unk

        Whole words as tokens, for models with --cutoffs (docs/word-level.md): the
        list's words, <UNK> and </s>, the most frequent first:
          lm-tokenize --corpus DIR --vocabulary words.txt --word-level \\
            --output data/words

        A large corpus on sixteen machines, each its part of the files, then one
        data set:
          lm-tokenize --corpus DIR --tokenizer tokenizer.model --part 3/16 \\
            --output parts/3
          lm-tokenize --join parts/* --output data/large

        The same with four processes of a launcher, in one step:
          mpirun -n 4 lm-tokenize --corpus DIR --output data/large

        Every checksum, frame and count of a data set:
          lm-tokenize --verify data/own
      """ + ExitStatus.help, version: Program.version)

  @Option(
    help: ArgumentHelp("Folder in the layout of the benchmark.", valueName: "dir"),
    completion: .directory)
  var corpus: String?

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Training text: files or folders.", valueName: "path"), completion: .file())
  var train: [String] = []

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Validation text: files or folders.", valueName: "path"), completion: .file()
  )
  var valid: [String] = []

  @Option(
    parsing: .upToNextOption, help: ArgumentHelp("Test text: files or folders.", valueName: "path"),
    completion: .file())
  var test: [String] = []

  @Option(help: ArgumentHelp("Folder to create.", valueName: "dir"), completion: .directory)
  var output: String?

  @Option(
    help: ArgumentHelp(
      "Check everything in a folder made before, then stop.", valueName: "dir"),
    completion: .directory)
  var verify: String?

  @Option(
    help: ArgumentHelp(
      "Encode one part of the files only, for example 3/16; --join puts the parts together.",
      valueName: "k/n"),
    transform: { try LMTokenize.part($0) })
  var part: CorpusPart?

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Put parts together into --output: the bytes that one process would have written.",
      valueName: "dir"), completion: .directory)
  var join: [String] = []

  @Option(
    help: ArgumentHelp(
      "Replace words outside this list by <UNK> before tokenizing, in all splits; one word a line, "
        + "on demand with a count.", valueName: "file"), completion: .file())
  var vocabulary: String?

  @Flag(
    help: "Make every word of --vocabulary a token of its own in place of training a tokenizer.")
  var wordLevel = false

  @Option(
    help: ArgumentHelp(
      "Write the words of the training text with their counts, then stop.", valueName: "file"),
    completion: .file())
  var writeVocabulary: String?

  @Option(help: "How often a word must occur to be written by --write-vocabulary. (default: 3)")
  var minCount: Int?

  @Option(help: "Kind of tokenizer to train. (default: unigram)")
  var modelType: ModelType?

  @Option(help: "Tokens of the tokenizer to train. (default: 16000)")
  var vocabSize: Int?

  @Option(
    help: ArgumentHelp("Use this tokenizer instead of training one.", valueName: "file"),
    completion: .file())
  var tokenizer: String?

  @Option(help: "Lines to train the tokenizer on, drawn at random. (default: 500000)")
  var sampleSentences: Int?

  @Option(help: ArgumentHelp("Share of the training lines for validation.", valueName: "share"))
  var splitValid: Double?

  @Option(help: ArgumentHelp("Share of the training lines for testing.", valueName: "share"))
  var splitTest: Double?

  @Option(
    help: "What ends a line: newline; any: CR LF and CR as well, as Windows and old Macs write.")
  var lineEnds = LineEnds.newline

  @Option(help: "Seed of the sample and of the split.")
  var seed: UInt64 = 1

  @Option(
    help: "Threads; results do not depend on them (all processors that this process may use).")
  var threads: Int?

  @Flag(help: "Replace the data set in --output, once the new one is complete; no other folder.")
  var overwrite = false

  static func main() { runCommand(with: { [("zstd", Zstd.version)] }) }

  func validate() throws {
    try ThreadCount.validate(threads)
    if verify != nil {
      guard corpus == nil, output == nil, (train + valid + test).isEmpty else {
        throw ValidationError("--verify DIR stands alone.")
      }
      return
    }
    if !join.isEmpty {
      guard corpus == nil, output != nil, (train + valid + test).isEmpty, part == nil else {
        throw ValidationError("--join PART ... goes with --output DIR alone.")
      }
      return
    }
    if writeVocabulary != nil {
      guard part == nil else {
        throw ValidationError("--write-vocabulary counts all words; leave out --part.")
      }
      guard output == nil, tokenizer == nil, vocabulary == nil else {
        throw ValidationError(
          "--write-vocabulary only counts words; make the data in a second step, with "
            + "--vocabulary FILE --output DIR.")
      }
    } else if minCount != nil {
      throw ValidationError("--min-count belongs to --write-vocabulary.")
    } else if output == nil {
      throw ValidationError("Give the folder to create with --output DIR.")
    }
    if let minCount, minCount < 1 { throw ValidationError("--min-count must be at least 1.") }
    if corpus != nil && !(train + valid + test).isEmpty {
      throw ValidationError("Give either --corpus or --train, --valid and --test.")
    }
    if corpus == nil && (train + valid + test).isEmpty {
      throw ValidationError("Give --corpus, or --train with the text to encode.")
    }
    if splitValid != nil || splitTest != nil {
      if train.isEmpty || !valid.isEmpty || !test.isEmpty {
        throw ValidationError("--split-valid and --split-test go with --train alone.")
      }
    }
    if tokenizer != nil && (modelType != nil || vocabSize != nil || sampleSentences != nil) {
      throw ValidationError(
        "--tokenizer uses a tokenizer as it is; leave out --model-type, --vocab-size and "
          + "--sample-sentences, which are for training one.")
    }
    if wordLevel {
      guard vocabulary != nil else {
        throw ValidationError(
          "--word-level makes the words of a list the tokens; give the list with --vocabulary FILE "
            + "(--write-vocabulary makes one).")
      }
      guard tokenizer == nil, modelType == nil, vocabSize == nil, sampleSentences == nil else {
        throw ValidationError(
          "--word-level trains no tokenizer; leave out --tokenizer, --model-type, --vocab-size and "
            + "--sample-sentences.")
      }
    }
    if let sampleSentences, sampleSentences < 1 {
      throw ValidationError("--sample-sentences must be at least 1.")
    }
    if let vocabSize, !(260...1_000_000).contains(vocabSize) {
      throw ValidationError("--vocab-size must be between 260 and 1,000,000.")
    }
  }

  func run() throws {
    if verify != nil || !join.isEmpty || writeVocabulary != nil || part != nil {
      try Ranks.requireOne(command: "lm-tokenize")
    }
    if let verify { return try VerifyCommand.run(verify) }
    let communicator = try Ranks.join()
    Interrupt.handle(message: "lm-tokenize: stopping; press Ctrl-C again to stop at once")
    if !join.isEmpty { return try joinParts() }
    let rule: SplitRule? =
      if splitValid != nil || splitTest != nil {
        try SplitRule(valid: splitValid ?? 0, test: splitTest ?? 0, seed: seed)
      } else {
        nil
      }
    let threads = ThreadCount.resolve(threads, command: "lm-tokenize")
    let corpus =
      if let corpus = self.corpus {
        try Corpus.billionWord(corpus)
      } else {
        try Corpus.plain(train: train, valid: valid, test: test)
      }
    for note in corpus.notes { Terminal.note("lm-tokenize: note: \(note)") }
    if let writeVocabulary {
      let (minimum, lineEnds) = (minCount ?? 3, lineEnds)
      return try StoppableWork.run {
        try VocabularyCommand.run(
          corpus, rule: rule, minimum: minimum, threads: threads, lineEnds: lineEnds,
          output: writeVocabulary)
      }
    }
    let output = output ?? ""
    let vocabulary = vocabulary
    var builder = DataSetBuilder(corpus: corpus, output: output, tokenizer: tokenizerSource)
    builder.rule = rule
    builder.lineEnds = lineEnds
    builder.seed = seed
    builder.threads = threads
    builder.part = part
    builder.overwrite = overwrite
    let display = TokenizeDisplay()
    let complete = try StoppableWork.run { [builder] in
      var builder = builder
      builder.vocabulary = try vocabulary.map { try WordList(path: $0) }
      return builder
    }
    let manifest = try RankedBuild(communicator, display).run(complete)
    display.finish()
    print(Self.summary(of: manifest, folder: output))
  }

  private static func part(_ text: String) throws -> CorpusPart {
    let numbers = text.split(separator: "/", omittingEmptySubsequences: false).map { Int($0) }
    guard numbers.count == 2, let number = numbers[0], let count = numbers[1] else {
      throw ValidationError("--part is \"\(text)\", expected for example 3/16")
    }
    return try CorpusPart(number, of: count)
  }

  private func joinParts() throws {
    var work = DataSetJoin(parts: join, output: output ?? "")
    work.overwrite = overwrite
    let progress = Progress("joining \(Format.count(join.count, "part"))", total: nil) {
      "\(Format.bytes(Int($0)))/s"
    }
    let manifest = try work.run { progress.advance(Double($0)) }
    progress.finish()
    print(Self.summary(of: manifest, folder: output ?? ""))
  }

  private var tokenizerSource: DataSetBuilder.Tokenizer {
    if let tokenizer { return .file(tokenizer) }
    if wordLevel { return .words }
    return .train(
      TokenizerRecipe(modelType: modelType ?? .unigram, vocabularySize: vocabSize ?? 16_000),
      SampleLimits(sentences: sampleSentences ?? 500_000))
  }

  /// Splits with their counts, the tokenizer, and the unknown words if there is a list.
  static func summary(of manifest: Manifest, folder: String) -> String {
    var rows = [
      [
        "split", "files", "shards", "sentences", "words", "tokens", "tokens/word", "text",
        "compressed",
      ]
    ]
    for split in Corpus.splits where manifest.splits[split] != nil {
      let totals = manifest.totals(of: split)
      // No two files of a split have the same name.
      let files = Set(manifest.splits[split]?.map(\.source) ?? [])
      // Both count one </s> for each sentence.
      let ratio =
        Double(totals.tokens + totals.sentences) / Double(totals.words + totals.sentences)
      rows.append([
        split, Format.count(files.count), Format.count(totals.shards),
        Format.count(totals.sentences),
        Format.count(totals.words), Format.count(totals.tokens), Format.decimal(ratio, 4),
        Format.bytes(totals.bytes), Format.bytes(totals.compressedBytes),
      ])
    }
    let tokenizer = manifest.tokenizer
    var unknown = ""
    if let vocabulary = manifest.vocabulary {
      let rates = Corpus.splits.filter { manifest.splits[$0] != nil }.map { split in
        let totals = manifest.totals(of: split)
        return "\(split) \(Format.count(totals.unknownWords)) "
          + "(\(Format.share(totals.unknownWords, of: totals.words)))"
      }
      unknown =
        "words outside the list of \(Format.count(vocabulary.words, "word")), now <UNK>: "
        + rates.joined(separator: ", ") + "\n"
    }
    return Format.table(rows) + "\n"
      + "tokens/word counts one </s> for each sentence on both sides\n" + unknown
      + "\(folder): \(tokenizer.modelType), \(Format.count(tokenizer.vocabularySize, "token"))"
  }
}
