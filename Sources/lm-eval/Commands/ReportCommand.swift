import ArgumentParser
import CommandSupport
import Report
import Storage
import Train

/// `lm-eval report`: what a run has recorded about itself, as one page.
struct ReportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report",
    abstract: "Write a page about a run: curves, configuration, figures, samples.",
    discussion: """
      The page is one file of HTML, which needs nothing else: curves,
      configuration, incidents, samples and the figures that lm-eval perplexity
      --record has kept. The exit code is 1 if a log is damaged; the page says so
      and shows the rest.

      EXAMPLES

        lm-eval report checkpoints/first
        lm-eval report checkpoints/first --output first.html
      """)

  @Argument(help: ArgumentHelp("Run folder.", valueName: "run"), completion: .directory)
  var path: String

  @Option(
    name: [.short, .long],
    help: ArgumentHelp("File for the page (report.html in the run).", valueName: "file"),
    completion: .file())
  var output: String?

  func run() throws { try Self.write(path, output: output) }

  /// Writes the page of a run.
  static func write(_ path: String, output: String?) throws {
    if let output {
      try OutputFile.check(output, option: "--output", inputs: [])
      // A rename would put the page in the place of /dev/null.
      if Files.exists(output) { _ = try Files.size(of: output) }
    }
    let record = try RunRecord(path: path)
    let target = output ?? record.path + "/report.html"
    try AtomicFile.write(Array(ReportPage(record).html.utf8), to: target)
    print("\(target): open it in a browser")
    guard !record.damages.isEmpty else { return }
    for damage in record.damages { LMEval.note("\(damage)") }
    LMEval.note("the page says so and shows the rest")
    throw ExitCode(1)
  }
}
