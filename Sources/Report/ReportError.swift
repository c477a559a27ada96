import Train

/// Why a folder gives no report.
package enum ReportError: Error, CustomStringConvertible, Equatable {
  case notARun(path: String)
  case noMetrics(run: String)
  case givenTwice(String, String)
  case tooMany(Int, most: Int)

  package var description: String {
    switch self {
    case .notARun(let path):
      "\(path) is not a run folder: expected config.json and \(MetricsLog.name) as lm-train writes "
        + "them; give the folder that was its --output"
    case .noMetrics(let run):
      "\(run) has no line in \(MetricsLog.name) yet; wait for its first --log-every steps"
    case .givenTwice(let first, let second):
      "\(first) and \(second) are the same run; give every run once"
    case .tooMany(let count, let most):
      "a page tells at most \(most) runs apart, not \(count); make several pages"
    }
  }
}
