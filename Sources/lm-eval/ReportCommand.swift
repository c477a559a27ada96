import CommandSupport
import Report
import Storage

/// `lm-eval --report`: what a run has recorded about itself, as one page.
enum ReportCommand {
  static func run(_ path: String, output: String?) throws {
    let record = try RunRecord(path: path)
    let target = output ?? record.path + "/report.html"
    try AtomicFile.write(Array(ReportPage(record).html.utf8), to: target)
    print("\(target): open it in a browser")
  }
}
