import ArgumentParser
import CommandSupport
import Eval

extension ScoreFormat: ExpressibleByArgument {}

/// `lm-eval score`: one line of scores for every sentence.
struct ScoreCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "score",
    abstract: "Write the log-probability of every sentence, or of every token.",
    usage: """
      lm-eval score --checkpoint <run> --data <dir> [--split <split> ...] [<options>]
      lm-eval score --checkpoint <run> --text <file> ... [<options>]
      """,
    discussion: """
      Scores go to standard output, or with --output to a file; the figures of
      the whole text, which are those of lm-eval perplexity, then go to standard
      error or standard output.

      EXAMPLES

        lm-eval score --checkpoint checkpoints/first --text news.txt > scores.tsv
        lm-eval score --checkpoint checkpoints/first --text news.txt \\
          --output scores.tsv --per-token
        lm-eval score --checkpoint checkpoints/first --text nbest.txt \\
          --output nbest.scores --format kenlm

      FORMATS

      table writes a header that begins with # and one line a sentence, with
      tabs between the columns: nats, tokens, words (both without </s>), text.
      In the text \\t, \\r, \\n and \\\\ stand for tab, carriage return, newline
      and backslash. --per-token adds a fifth column with token:logprob for
      every token and for </s>, separated by single spaces: the number is in
      nats and begins after the last colon, ▁ stands for a space, and a byte
      that is no whole character by itself is written as \\xE2.
      kenlm writes what query -v sentence of KenLM prints, in the order of the
      text: "Total: -12.3 OOV: 0", the log10 of the sentence with </s> and its
      unknown words.
      """ + Help.texts)

  @Option(help: Help.run)
  var checkpoint: String

  @OptionGroup var text: TextOptions

  @Option(help: Help.vocabulary)
  var vocabulary: String?

  @Option(
    name: [.short, .long],
    help: ArgumentHelp("File for the scores, - for standard output.", valueName: "file"))
  var output = ScoreFile.standardOutput

  @Option(help: Help.scoreFormat)
  var format = ScoreFormat.table

  @Flag(help: "Add the log-probability of every token.")
  var perToken = false

  @OptionGroup var figures: FigureOptions
  @OptionGroup var work: WorkOptions

  func validate() throws {
    try ThreadCount.validate(work.threads)
    try text.check(vocabulary: vocabulary)
    try work.check()
    try figures.check()
    if figures.json, ScoreFile.isStandardOutput(output) {
      throw ValidationError(
        "the scores fill standard output: leave out --json, or give a file with --output")
    }
    if perToken, format == .kenlm {
      throw ValidationError("--per-token is a column of the table: KenLM's lines have none")
    }
  }

  func run() throws {
    work.setThreads()
    try Scoring(
      models: [checkpoint], text: text, vocabulary: vocabulary, figures: figures,
      work: work,
      scores: Scoring.Scores(
        path: output, option: "--output", format: format, hasTokens: perToken)
    ).run()
  }
}
