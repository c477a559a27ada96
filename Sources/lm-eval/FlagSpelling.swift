import ArgumentParser
import CommandSupport
import Eval
import Export
import Storage
import Tokenize

/// `lm-eval` without a subcommand: flags choose what it does, as they did before there were any.
///
/// Whatever was accepted or refused in this spelling still is, in the same words. The help of an option
/// is shown where its value is refused; the help of all is that of the subcommands.
struct FlagSpelling: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: LMEval.name, usage: LMEval.usage)

  @Flag(help: "Measure perplexity (the default).")
  var perplexity = false

  @Option(parsing: .upToNextOption, help: Help.runs)
  var checkpoint: [String] = []

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Two runs or checkpoints: score both and test the difference.", valueName: "run"))
  var compare: [String] = []

  @Flag(help: "Look for ways in which the model sees the future, instead of measuring it.")
  var audit = false

  @Option(help: "Sentences that --audit reads.")
  var auditSentences = Audit.defaultSentences

  @Option(
    help: ArgumentHelp(
      "Compare all checksums of a run or of one checkpoint, then stop.", valueName: "run"))
  var verify: String?

  @OptionGroup var text: TextOptions

  @Option(help: Help.vocabulary)
  var vocabulary: String?

  @OptionGroup var window: WindowOptions
  @OptionGroup var breakdown: BreakdownOptions

  @Option(
    help: ArgumentHelp(
      "File for one line of scores a sentence or word; - for standard output, the table then goes to "
        + "standard error.", valueName: "file"))
  var score: String?

  @Option(help: Help.scoreFormat)
  var scoreFormat: ScoreFormat?

  @OptionGroup var scores: ScoreOptions

  @Flag(help: Help.paperLine)
  var paperLine = false

  @Option(
    help: ArgumentHelp(
      "Write a page about a run, then stop; beside --checkpoint, paper means --paper-line.",
      valueName: "run"))
  var report: String?

  @Option(
    name: [.short, .long],
    help: ArgumentHelp(
      "File for --report (report.html in the run); file or folder for --export.", valueName: "path")
  )
  var output: String?

  @Option(
    help: ArgumentHelp(
      "Write the model for other programs, bf16, fp16 or gguf, then stop.", valueName: "format"))
  var export: ExportFormat?

  @OptionGroup var figures: FigureOptions
  @OptionGroup var work: WorkOptions

  // MARK: Which spelling is meant

  private static let subcommands = LMEval.configuration.subcommands.compactMap {
    $0.configuration.commandName
  }

  /// Whether the arguments begin with an option, or there are none.
  static func isMeant(by arguments: [String]) -> Bool {
    guard let first = arguments.first else { return true }
    return first.hasPrefix("-") && !isAboutProgram(first)
  }

  /// Options that ask for completions, the manual page and the like.
  private static func isAboutProgram(_ option: String) -> Bool {
    ["--generate-", "--experimental-", "---", "--help", "-h", "--version"].contains {
      option.hasPrefix($0)
    }
  }

  /// The arguments for the help of the subcommand that the flags choose; nil if they ask for no help.
  static func helpArguments(for arguments: [String]) -> [String]? {
    guard isMeant(by: arguments) else { return nil }
    let options = arguments.prefix { $0 != "--" }
    guard options.contains("--help") || options.contains("-h") else { return nil }
    let chosen = options.compactMap { option in
      subcommands.first { option == "--\($0)" || option.hasPrefix("--\($0)=") }
    }
    return [chosen.first ?? "perplexity", "--help"]
  }

  // MARK: What is refused

  /// The models to score, in the order in which they were given.
  private var models: [String] { compare.isEmpty ? checkpoint : compare }

  /// Whether one line is to be printed, by either of its flags.
  private var printsPaperLine: Bool { paperLine || report != nil }

  func validate() throws {
    try ThreadCount.validate(work.threads)
    if verify != nil {
      guard models.isEmpty, text.data == nil, text.text.isEmpty, !audit, report == nil else {
        throw ValidationError("--verify RUN stands alone")
      }
      return
    }
    if let report, models.isEmpty {
      guard text.data == nil, text.text.isEmpty, !audit, !figures.record, !paperLine else {
        throw ValidationError(
          "--report RUN stands alone: it shows what the run has recorded; score it with "
            + "--checkpoint RUN --record first")
      }
      if report == "paper", !Files.isDirectory(report) {
        throw ValidationError("--report paper needs the model: give it with --checkpoint RUN")
      }
      return
    }
    if export != nil { return try validateExport() }
    if output != nil { throw ValidationError("--output belongs to --report RUN") }
    if let report, report != "paper" {
      throw ValidationError(
        "--report RUN stands alone; beside --checkpoint the only report is paper, not \(report)")
    }
    try validateModels()
    try text.check(vocabulary: vocabulary, isRequired: !audit)
    try validateWindow()
    try validateScoring()
  }

  private func validateExport() throws {
    guard checkpoint.count == 1, output != nil, compare.isEmpty, text.data == nil,
      text.text.isEmpty,
      !audit, !figures.record, !figures.json, !printsPaperLine, score == nil
    else {
      throw ValidationError(
        "--export FORMAT takes --checkpoint RUN and --output PATH, and nothing else")
    }
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
    if audit, vocabulary != nil || printsPaperLine || figures.record {
      throw ValidationError("--audit measures nothing: leave out what is about figures")
    }
    if figures.json, printsPaperLine {
      throw ValidationError("give --json or --paper-line, not both")
    }
  }

  private func validateWindow() throws {
    try window.check(data: text.data)
    try breakdown.check(text, window, printsPaperLine: printsPaperLine)
    if breakdown.isAsked, audit || !compare.isEmpty || score != nil {
      throw ValidationError(
        "--per-file, --by-frequency and --by-position are of perplexity: leave out --audit, --compare "
          + "and --score")
    }
    guard window.context == .stream else { return }
    if score != nil {
      throw ValidationError("--score needs --context sentence: a window is no sentence")
    }
    if !compare.isEmpty {
      throw ValidationError("--compare draws sentences: it needs --context sentence")
    }
  }

  private func validateScoring() throws {
    try Audit.check(sentences: auditSentences, option: "--audit-sentences")
    try work.check()
    try figures.check()
    if scores.perToken || scoreFormat != nil, score == nil {
      throw ValidationError("--per-token and --score-format belong to --score FILE")
    }
    if scores.perWord, score == nil {
      throw ValidationError("--per-word belongs to --score FILE")
    }
    if let score, ScoreFile.isStandardOutput(score), figures.json || printsPaperLine {
      throw ValidationError(
        "--score - fills standard output: leave out --json and --paper-line, or give a file")
    }
    try scores.check(scoreFormat ?? .table)
  }

  // MARK: What is done

  func run() throws {
    work.setThreads()
    if let verify { return try VerifyCommand.verify(verify) }
    if let export, let output {
      return try ExportCommand.write(export, checkpoint: models[0], output: output)
    }
    if audit {
      return try Audit(
        checkpoint: models[0], text: text, sentences: auditSentences,
        work: work, json: figures.json
      ).run()
    }
    if let report, models.isEmpty { return try ReportCommand.write([report], output: output) }
    try Scoring(
      models: models, isComparison: !compare.isEmpty, text: text, vocabulary: vocabulary,
      window: window.length, stride: window.stride, breakdown: breakdown, figures: figures,
      printsPaperLine: printsPaperLine,
      work: work,
      scores: score.map {
        Scoring.Scores(
          path: $0, option: "--score", format: scoreFormat ?? .table, unit: scores.unit)
      }
    ).run()
  }
}
