package import Eval
import Model
import Storage
package import Train

/// Why there is nothing to report.
package enum ReportError: Error, CustomStringConvertible, Equatable {
  case notARun(path: String)
  case noMetrics(run: String)

  package var description: String {
    switch self {
    case .notARun(let path):
      "\(path) is not a run folder: expected config.json and \(MetricsLog.name) as lm-train writes "
        + "them; give the folder that was its --output"
    case .noMetrics(let run):
      "\(run) has no line in \(MetricsLog.name) yet; wait for its first --log-every steps"
    }
  }
}

/// All that a run has written about itself.
package struct RunRecord: Sendable {
  package var path: String
  package var config: RunConfig
  package var parameters: Int
  package var training: [Metrics]
  package var validation: [Metrics]
  package var incidents: [Incident]
  package var samples: [TrainingSample]
  package var evaluations: [EvaluationRecord]
  /// Lines that are not what was written, a sentence each; no figure is taken from them.
  package var damages: [String]

  /// Reads the logs of a run folder, or of the run that a checkpoint belongs to.
  package init(path given: String) throws {
    var path = given
    while path.count > 1 && path.hasSuffix("/") { path.removeLast() }
    if Files.name(of: path).hasPrefix("step-"), !Files.exists(path + "/" + MetricsLog.name) {
      path = Files.parent(of: path)
    }
    guard Files.exists(RunFolder.configPath(path)), Files.exists(path + "/" + MetricsLog.name)
    else {
      throw ReportError.notARun(path: given)
    }
    let log = try MetricsLog.contents(run: path)
    let metrics = log.entries.map(\.entry)
    guard !metrics.isEmpty else {
      if let damage = log.damages.first { throw damage }
      throw ReportError.noMetrics(run: path)
    }
    self.path = path
    config = try RunFolder.readConfig(path)
    parameters = ParameterLayout(config.model).count
    training = metrics.filter { $0.kind == "train" }
    validation = metrics.filter { $0.kind == "valid" }
    let incidents = try IncidentLog.contents(run: path)
    let samples = try StepLog<TrainingSample>.contents(run: path)
    let evaluations = try EvaluationLog.contents(run: path)
    self.incidents = incidents.entries.map(\.entry)
    self.samples = samples.entries.map(\.entry)
    self.evaluations = evaluations.entries.map(\.entry)
    damages = (log.damages + incidents.damages + samples.damages + evaluations.damages).map {
      "\($0); it is left out"
    }
  }

  /// The last line of all.
  package var last: Metrics? { (training + validation).max { $0.step < $1.step } }

  /// The lowest validation loss.
  package var best: Metrics? { validation.min { $0.natsPerPiece < $1.natsPerPiece } }

  /// Where a step is on another axis: the figure of the first line from that step on.
  package func place(of step: Int, _ figure: (Metrics) -> Double) -> Double? {
    (training.first { $0.step >= step } ?? training.last).map(figure)
  }
}
