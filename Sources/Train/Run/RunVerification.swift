import Eval
import Model
import Storage

/// Reads everything of a run that has a checksum.
package struct RunVerification {
  /// One checkpoint or file of the run, and what became of it.
  package struct Finding: Sendable, Equatable {
    package let path: String
    package let isGood: Bool
    /// What was checked, or the first thing that is wrong.
    package let note: String
  }

  private let path: String
  private let checkpoints: [String]
  /// Whether the files beside the checkpoints are looked at as well.
  private let isRun: Bool

  /// Bytes that `run` reads.
  package let bytes: Int

  /// - Parameter path: A run folder or one checkpoint of it.
  /// - Throws: `CheckpointError.notFound` if it is neither.
  package init(_ path: String) throws {
    let path = try CheckpointFolder.unnamed(path) { _ in }
    self.path = path
    let steps = CheckpointFolder.steps(ofRun: path)
    let isCheckpoint = [ModelFiles.weightsName, CheckpointFolder.stateName].contains {
      Files.exists(path + "/" + $0)
    }
    if !steps.isEmpty {
      checkpoints = steps.map { path + "/" + CheckpointFolder.name(step: $0) }
    } else if isCheckpoint, Files.exists(path + "/" + CheckpointFolder.sumsName) {
      checkpoints = [path]
    } else if !isCheckpoint, RunFolder.hasSums(path) {
      checkpoints = []
    } else {
      throw CheckpointError.notFound(path: path)
    }
    isRun = checkpoints != [path]
    bytes = checkpoints.reduce(0) { sum, checkpoint in
      let names = (try? Files.entries(of: checkpoint)) ?? []
      return sum + names.reduce(0) { $0 + ((try? Files.size(of: checkpoint + "/" + $1)) ?? 0) }
    }
  }

  /// Compares all sums, then reads configuration and the shapes of the weights.
  ///
  /// - Parameter progress: Told of bytes read.
  package func run(progress: (Int) -> Void = { _ in }) -> [Finding] {
    var findings = checkpoints.compactMap { checkpoint -> Finding? in
      let found = finding(checkpoint) {
        try CheckpointFolder.verify(checkpoint, progress: progress)
        let config = try ModelFiles.check(directory: checkpoint)
        return "\(config.attention), \(ParameterLayout(config).count) weights, all sums hold"
      }
      // A run that goes on removes old checkpoints.
      return !found.isGood && isRun && !Files.isDirectory(checkpoint) ? nil : found
    }
    guard isRun else { return findings + log(EvaluationLog.self) }
    if let newest = findings.last(where: \.isGood) ?? findings.last {
      findings.append(latest(newestGood: newest.path))
      if let best = best(newestGood: newest.path) { findings.append(best) }
    }
    return findings + files()
  }

  private func finding(_ path: String, _ check: () throws -> String) -> Finding {
    do {
      return Finding(path: path, isGood: true, note: try check())
    } catch {
      return Finding(path: path, isGood: false, note: "\(error)")
    }
  }

  /// It may name the newest checkpoint although that is damaged: then it is what was written.
  private func latest(newestGood: String) -> Finding {
    let good = Files.name(of: newestGood)
    let newest = checkpoints.last.map { Files.name(of: $0) } ?? good
    for name in [newest, good]
    where CheckpointFolder.problemOfLatest(ofRun: path, newest: name) == nil {
      let named = (try? Files.contents(of: path + "/" + CheckpointFolder.latestName)) ?? []
      let text = String(decoding: named.filter { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
      return Finding(
        path: path + "/" + CheckpointFolder.latestName, isGood: true,
        note: "names \(text)" + (text > newest ? ", saved meanwhile" : ""))
    }
    let problem = CheckpointFolder.problemOfLatest(ofRun: path, newest: good) ?? ""
    return Finding(
      path: path + "/" + CheckpointFolder.latestName, isGood: false,
      note:
        "\(problem); \(good) is taken, the newest that is good; lm-train --resume puts that right")
  }

  /// It names the step that the newest checkpoint has as the best; nil where there is neither.
  private func best(newestGood: String) -> Finding? {
    let file = path + "/" + CheckpointFolder.bestName
    guard Files.exists(file), let step = try? CheckpointFolder.bestStep(of: newestGood) else {
      return nil
    }
    return finding(file) {
      let named = try Files.contents(of: file)
      let name = CheckpointFolder.name(step: step)
      // A run that goes on may have saved a better one since its checkpoints were listed.
      let isLater = CheckpointFolder.steps(ofRun: path).contains {
        CheckpointFolder.name(step: $0) > Files.name(of: newestGood)
          && named == CheckpointFolder.latest(step: $0)
      }
      guard isLater || named == CheckpointFolder.latest(step: step) else {
        throw CheckpointError.damaged(
          path: file,
          problem:
            "it does not name \(name), which has the best validation; lm-train --resume puts "
            + "that right")
      }
      return "names \(String(decoding: named.dropLast(), as: UTF8.self))"
    }
  }

  // MARK: Files beside the checkpoints

  private static let noSums = "no sums (written by an earlier version)"

  private func files() -> [Finding] {
    var findings: [Finding] = []
    if RunFolder.hasSums(path) || Files.exists(RunFolder.configPath(path)) {
      findings.append(
        finding(RunFolder.configPath(path)) {
          _ = try RunFolder.readConfig(path)
          return RunFolder.hasSums(path) ? "the sum holds" : Self.noSums
        })
    }
    findings += log(RunData.name) { try RunData.contents(run: path) }
    findings += log(MetricsLog.name) { try MetricsLog.contents(run: path) }
    findings += log(TrainingSample.fileName) { try StepLog<TrainingSample>.contents(run: path) }
    findings += log(IncidentLog.name) { try IncidentLog.contents(run: path) }
    findings += log(RunStart.fileName) { try RunStart.contents(run: path) }
    findings += log(EvaluationLog.self)
    let events = path + "/" + EventLog.name
    if Files.exists(events) {
      findings.append(
        finding(events) {
          let bytes = try Files.contents(of: events)
          if let damage = EventLog.damage(of: bytes) {
            throw CheckpointError.damaged(path: events, problem: damage.problem)
          }
          return "\(EventLog.count(of: bytes)) events, all sums hold"
        })
    }
    return findings
  }

  private func log(_: EvaluationLog.Type) -> [Finding] {
    log(EvaluationLog.name) { try EvaluationLog.contents(run: path) }
      + log(SentenceRecord.fileName) { try SentenceRecord.contents(run: path) }
  }

  private func log<Entry>(_ name: String, _ read: () throws -> SummedLog<Entry>) -> [Finding] {
    guard Files.exists(path + "/" + name) else { return [] }
    return [
      finding(path + "/" + name) {
        let log = try read()
        if let first = log.damages.first {
          let more = log.damages.count - 1
          throw CheckpointError.damaged(
            path: path + "/" + name,
            problem: "line \(first.line): \(first.problem)"
              + (more > 0 ? " (and \(more) more such lines)" : ""))
        }
        let count = "\(log.entries.count) \(log.entries.count == 1 ? "line" : "lines")"
        return log.hasSums || log.entries.isEmpty
          ? "\(count), all sums hold" : "\(count), \(Self.noSums)"
      }
    ]
  }
}
