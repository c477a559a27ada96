import ArgumentParser
import CommandSupport

/// `lm-eval compare`: whether two models differ by more than chance.
struct CompareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare",
    abstract: "Score a text with two models and test the difference.",
    usage: """
      lm-eval compare <run> <run> --data <dir> [--split <split> ...]
              [<options>]
      lm-eval compare <run> <run> --text <file> ... [<options>]
      """,
    discussion: """
      Draws the sentences with replacement, the same for both models (paired
      bootstrap, 10,000 draws, fixed seed), and prints the figures of both and
      first minus second with standard error, 95 % interval and two-sided p.
      The figures are those of lm-eval perplexity, whose help tells of
      --vocabulary and of texts from elsewhere.

      EXAMPLES

        lm-eval compare checkpoints/first checkpoints/second --data data
        lm-eval compare checkpoints/first checkpoints/second --data data \\
          --split test valid --json
        lm-eval compare first/step-00001000 first/step-00002000 --text news.txt

      JSON

      --json prints one object with the keys evaluations, of which the figures
      are those of lm-eval perplexity --json, and comparison.
      """)

  @Argument(
    help: ArgumentHelp(
      "Two run folders, of which the newest good checkpoint is taken, or checkpoints.",
      valueName: "run"), completion: .directory)
  var runs: [String] = []

  @OptionGroup var text: TextOptions

  @Option(help: Help.vocabulary, completion: .file())
  var vocabulary: String?

  @OptionGroup var figures: FigureOptions
  @OptionGroup var work: WorkOptions

  func validate() throws {
    try ThreadCount.validate(work.threads)
    guard runs.count == 2 else {
      // What follows an option that takes several words is taken for one of them.
      let advice =
        runs.count < 2 && text.text.count + text.split.count > 1 ? ": put both first" : ""
      throw ValidationError("compare takes two runs, not \(runs.count)\(advice)")
    }
    try text.check(vocabulary: vocabulary)
    try work.check()
    try figures.check()
  }

  func run() throws {
    work.setThreads()
    try Scoring(
      models: runs, isComparison: true, text: text, vocabulary: vocabulary, figures: figures,
      work: work
    ).run()
  }
}
