package import Eval
import Model
import Storage
package import Train

/// Configuration and logs of a run.
package struct RunRecord: Sendable {
  package var path: String
  package var config: RunConfig
  /// Without the rows of n-grams.
  package var parameters: Int
  /// Numbers in rows of n-grams.
  package var ngramNumbers: Int
  package var training: [Metrics]
  package var validation: [Metrics]
  /// Validations of the running average of the weights.
  package var averages: [Metrics]
  package var incidents: [Incident]
  package var samples: [TrainingSample]
  package var evaluations: [EvaluationRecord]
  /// Every start of the trainer; none of runs of versions before.
  package var starts: [RunStart]
  /// Damaged lines of the logs, a sentence each; they are left out of everything else.
  package var damages: [String]

  /// Reads the logs of a run folder, or of the run that a checkpoint belongs to.
  package init(path given: String) throws {
    var path = given
    while path.count > 1 && path.hasSuffix("/") { path.removeLast() }
    path = try CheckpointFolder.unnamed(path) { _ in }
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
    ngramNumbers = config.model.ngramNumbers
    training = metrics.filter { $0.kind == "train" }
    validation = metrics.filter { $0.kind == "valid" }
    averages = metrics.filter { $0.kind == Metrics.averageKind }
    let incidents = try IncidentLog.contents(run: path)
    let samples = try StepLog<TrainingSample>.contents(run: path)
    let evaluations = try EvaluationLog.contents(run: path)
    let starts = try RunStart.contents(run: path)
    self.starts = starts.entries.map(\.entry)
    self.incidents = incidents.entries.map(\.entry)
    self.samples = samples.entries.map(\.entry)
    self.evaluations = evaluations.entries.map(\.entry)
    damages =
      (log.damages + incidents.damages + samples.damages + evaluations.damages + starts.damages).map
    {
      "\($0); it is left out"
    }
  }

  /// The newest metrics, of training or validation.
  package var last: Metrics? { (training + validation).max { $0.step < $1.step } }

  /// The validation metrics with the lowest loss.
  package var best: Metrics? { validation.min { $0.natsPerToken < $1.natsPerToken } }

  /// A quantity at a step: that of the first line of training metrics from the step on, or of the last.
  package func place(of step: Int, _ figure: (Metrics) -> Double) -> Double? {
    (training.first { $0.step >= step } ?? training.last).map(figure)
  }

  /// `3.3M`, or `3.3M + 151M in rows` where there are rows of n-grams.
  package var size: String {
    Numbers.short(Double(parameters))
      + (ngramNumbers == 0 ? "" : " + \(Numbers.short(Double(ngramNumbers))) in rows")
  }
}
