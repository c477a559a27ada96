import Storage

/// Everything that a run appends to as it goes.
struct RunLogs {
  private let metrics: MetricsLog
  private let events: EventLog
  private let samples: StepLog<TrainingSample>?

  /// - Parameters:
  ///   - step: What later steps have left is dropped: the run is about to take them again.
  ///   - isSampled: Whether there will be samples.
  ///   - damaged: Told of every line that is not what was written.
  init(
    run: String, keepingUpTo step: Int, isSampled: Bool, damaged: (String) -> Void
  ) throws {
    metrics = try MetricsLog(run: run, keepingUpTo: step, damaged: damaged)
    events = try EventLog(
      run: run, keepingUpTo: step, from: metrics.kept, damaged: damaged)
    let isThere = Files.exists(run + "/" + TrainingSample.fileName)
    samples =
      isSampled || isThere ? try StepLog(run: run, keepingUpTo: step, damaged: damaged) : nil
  }

  func append(_ entry: Metrics) throws {
    try metrics.append(entry)
    try events.append(entry)
  }

  func append(_ sample: TrainingSample) throws { try samples?.append(sample) }

  /// Waits until the disk holds every line so far: a checkpoint goes on after them.
  func flush() throws {
    try metrics.flush()
    try events.flush()
    try samples?.flush()
  }
}
