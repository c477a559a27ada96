import ArgumentParser
import CommandSupport
import Report
import Storage
import Train

/// `lm-eval --report`: what a run has recorded about itself, as one page.
enum ReportCommand {
  static func run(_ path: String, output: String?) throws {
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
    for damage in record.damages { Terminal.note("lm-eval: \(damage)") }
    Terminal.note("lm-eval: the page says so and shows the rest")
    throw ExitCode(1)
  }
}
