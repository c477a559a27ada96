import Eval
import Model
import Storage

/// The files of a run that stand beside its checkpoints, and the sum of its configuration.
///
/// `SHA256SUMS` of a run covers `config.json`, and says that every line of the run's logs has a sum
/// of its own. Runs of the version before have neither, and get both when they are next trained.
package enum RunFolder {
  package static let configName = "config.json"

  package static func configPath(_ run: String) -> String { run + "/" + configName }

  /// Whether the run was written with sums.
  package static func hasSums(_ run: String) -> Bool { EvaluationLog.requiresSums(run) }

  /// Whether a file or folder of this name is written into a run folder.
  static func isWritten(_ name: String) -> Bool {
    if name.hasPrefix("step-") {
      return Int(name.dropFirst(5)).map { CheckpointFolder.name(step: $0) == name } ?? false
    }
    return name == "report.html" || fileNames.contains(name)
      || logs.contains { name == $0.name + SummedLogs.damagedSuffix }
  }

  /// Files of a run beside its checkpoints that cannot be had again.
  static let fileNames =
    [
      configName, SumsFile.name, RunData.name, CheckpointFolder.latestName,
      CheckpointFolder.bestName, EventLog.name,
    ]
    + logs.map(\.name)

  /// Whether a run was begun there that could go on.
  package static func isBegun(_ run: String) -> Bool {
    Files.exists(configPath(run)) || !CheckpointFolder.steps(ofRun: run).isEmpty
  }

  // MARK: Writing

  /// Throws if a folder holds files that a new run would replace.
  package static func requireUnused(_ run: String) throws(TrainingError) {
    if Files.exists(configPath(run)) { throw .exists(run: run) }
    let names = (try? Files.entries(of: run)) ?? []
    if let name = names.first(where: { isWritten($0) && !$0.hasPrefix("step-") }) {
      throw .invalid(
        "\(run)/\(name) is there and is no part of a run that could go on; choose another --output")
    }
  }

  /// Writes the configuration and its sum; logs without sums get theirs first.
  ///
  /// At every moment either the old or the new configuration has a sum.
  package static func write(_ config: RunConfig, run: String) throws {
    let path = configPath(run)
    let bytes = try JSONFile.encode(config, path: path)
    let line = SumsFile.Line(digest: SHA256.hexDigest(of: bytes), name: configName)
    if !hasSums(run) {
      // A record that is added meanwhile would be lost.
      let lock =
        Files.exists(run + "/" + EvaluationLog.name) ? try EvaluationLog.lock(run: run) : nil
      defer { lock?.release() }
      for (name, isAppended) in logs { try addSums(run + "/" + name, isAppended: isAppended) }
    } else {
      if let found = try? SHA256.hexDigest(ofFile: path) {
        if line.digest == found, (try? storedSums(run)) == [line] { return }
        let both = [SumsFile.Line(digest: found, name: configName), line]
        try AtomicFile.write(SumsFile.encode(both), to: sumsPath(run))
      }
    }
    try AtomicFile.write(bytes, to: path)
    try AtomicFile.write(SumsFile.encode([line]), to: sumsPath(run))
  }

  /// The logs of a run, and whether they grow line by line.
  static let logs: [(name: String, isAppended: Bool)] = [
    (MetricsLog.name, true), (TrainingSample.fileName, true), (IncidentLog.name, false),
    (EvaluationLog.name, false), (SentenceRecord.fileName, false),
  ]

  private struct AnyObject: Decodable {}

  private static func addSums(_ path: String, isAppended: Bool) throws {
    let log = try SummedLog<AnyObject>(path: path, requiresSums: false, isAppended: isAppended)
    // What is damaged already is told by whoever opens the log.
    guard !log.entries.isEmpty, !log.hasSums, log.damages.isEmpty else { return }
    try AtomicFile.write(log.summed(), to: path)
  }

  // MARK: Reading

  private static func sumsPath(_ run: String) -> String { run + "/" + SumsFile.name }

  private static func storedSums(_ run: String) throws -> [SumsFile.Line] {
    let path = sumsPath(run)
    guard let lines = SumsFile.parse(try Files.contents(of: path)),
      (1...2).contains(lines.count), lines.allSatisfy({ $0.name == configName })
    else {
      throw CheckpointError.damaged(
        path: path, problem: "expected one line, the sum of \(configName)")
    }
    return lines
  }

  /// Throws `CheckpointError.damaged` if the configuration is not the one that was written.
  package static func verifyConfig(_ run: String) throws {
    guard hasSums(run) else { return }
    let sums = try storedSums(run)
    let found = try SHA256.hexDigest(ofFile: configPath(run))
    guard sums.contains(where: { $0.digest == found }) else {
      throw CheckpointError.damaged(
        path: configPath(run),
        problem: "its SHA-256 is \(found), expected \(sums[sums.count - 1].digest)")
    }
  }

  /// The configuration of a run, compared with its sum if it has one.
  package static func readConfig(_ run: String) throws -> RunConfig {
    try verifyConfig(run)
    return try JSONFile.read(RunConfig.self, from: configPath(run))
  }

  /// The configuration in a file that a user gives, perhaps that of a run, perhaps changed by hand.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - note: Told if it is not the one that a run has written there.
  package static func givenConfig(_ path: String, note: (String) -> Void) throws -> RunConfig {
    let run = Files.parent(of: path)
    if Files.name(of: path) == configName {
      do { try verifyConfig(run) } catch { note("\(error), unless it was changed by hand") }
    }
    return try JSONFile.read(RunConfig.self, from: path)
  }

  /// The configuration that a run goes on with: its own, or that of its newest good checkpoint if its
  /// own is damaged or gone.
  ///
  /// - Parameters:
  ///   - run: The run folder.
  ///   - note: Told of what is not as it should be.
  package static func resumedConfig(_ run: String, note: (String) -> Void) throws -> RunConfig {
    let store = CheckpointStore(run: run)
    let problem: String
    do {
      let config = try readConfig(run)
      if !hasSums(run), let last = store.steps().last,
        let state = try? store.state(step: last), state.config.steps != config.steps
      {
        note(
          "\(configPath(run)) is of --steps \(config.steps), \(store.path(step: last)) was saved by a "
            + "run of \(state.config.steps); the run goes on to \(config.steps)")
      }
      return config
    } catch {
      problem = "\(error)"
    }
    guard Files.exists(configPath(run)) || !store.steps().isEmpty else {
      throw TrainingError.nothingToResume(run: run, reasons: [])
    }
    guard let step = try store.newestGood(skipped: note) else {
      throw TrainingError.invalid(
        "\(problem); there is no checkpoint to take the configuration from. If you changed it "
          + "yourself, give it with --config to a run of another --output; otherwise start another run"
      )
    }
    let config = try store.state(step: step).config
    note(
      "\(problem); the run goes on with the configuration in \(store.path(step: step)), "
        + "of --steps \(config.steps). Changes to it are options, such as --steps and --log-every")
    return config
  }
}
