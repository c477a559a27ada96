import ArgumentParser
import CommandSupport
import Report
import Storage
import Train

/// `lm-eval report`: what a run has recorded about itself, as one page.
struct ReportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report",
    abstract: "Write a page about a run, or about several side by side.",
    discussion: """
      The page is one file of HTML, which needs nothing else: curves,
      configuration, incidents, samples and the figures that lm-eval perplexity
      --record has kept. The exit code is 1 if a log is damaged; the page says so
      and shows the rest.

      Of several runs, at most 8, the page has the curves on the same axes, by
      tokens, time and work; figures, and the options that differ; and, of every
      text that was scored with --record, the figures side by side and the
      paired test of lm-eval compare, two by two, without scoring anything
      again. It goes to report.html in the current folder.

      EXAMPLES

        lm-eval report checkpoints/first
        lm-eval report checkpoints/first --output first.html
        lm-eval report checkpoints/first checkpoints/second --output both.html
      """)

  @Argument(
    help: ArgumentHelp("Run folder; several make one page.", valueName: "run"),
    completion: .directory)
  var paths: [String]

  @Option(
    name: [.short, .long],
    help: ArgumentHelp(
      "File for the page (report.html in the run, or here for several).", valueName: "file"),
    completion: .file())
  var output: String?

  func run() throws { try Self.write(paths, output: output) }

  /// Writes the page of one run or of several.
  static func write(_ paths: [String], output: String?) throws {
    let page = paths.count > 1 ? output ?? "report.html" : output
    if let page {
      try OutputFile.check(page, option: "--output", inputs: [])
      // A rename would put the page in the place of /dev/null.
      if Files.exists(page) { _ = try Files.size(of: page) }
    }
    let (html, target, damages): (String, String, [String])
    if paths.count == 1 {
      let record = try RunRecord(path: paths[0])
      (html, damages) = (ReportPage(record).html, record.damages)
      target = page ?? record.path + "/report.html"
    } else {
      let runs = RunsPage(try ComparedRun.all(of: paths))
      (html, damages) = (runs.html, runs.damagesOfLogs)
      target = page ?? "report.html"
    }
    try AtomicFile.write(Array(html.utf8), to: target)
    print("\(target): open it in a browser")
    guard !damages.isEmpty else { return }
    for damage in damages { LMEval.note("\(damage)") }
    LMEval.note("the page says so and shows the rest")
    throw ExitCode(1)
  }
}
