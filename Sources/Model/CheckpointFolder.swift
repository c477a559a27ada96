import Foundation
import Storage

/// Why a checkpoint cannot be used.
package enum CheckpointError: Error, CustomStringConvertible, Equatable {
  case notFound(path: String)
  case damaged(path: String, problem: String)
  /// A model from elsewhere whose weights are in no file that is read.
  case otherWeights(path: String, found: String)
  /// A run whose checkpoint with the best validation was asked for.
  case noBest(run: String, problem: String)
  /// A checkpoint whose running average was asked for.
  case noAverage(path: String)

  package var description: String {
    switch self {
    case .notFound(let path):
      "\(path) is neither a run with checkpoints nor a checkpoint; expected a folder with "
        + "\(CheckpointFolder.latestName) or \(ModelFiles.configName)"
    case .damaged(let path, let problem): "\(path) is damaged: \(problem)"
    case .noBest(let run, let problem):
      "\(run)/\(CheckpointFolder.bestName) means the checkpoint with the best validation, but \(problem); "
        + "name a step, or the run for its newest"
    case .noAverage(let path):
      "\(path) has no \(CheckpointFolder.averageName), a running average of the weights; a run has one "
        + "with lm-train --ema"
    case .otherWeights(let path, let found):
      "\(path) has its weights in \(found), expected \(ModelFiles.weightsName); open it with "
        + "transformers and write it anew with save_pretrained(DIR)"
    }
  }
}

/// The files of one checkpoint and where checkpoints of a run stand.
package enum CheckpointFolder {
  package static let latestName = "latest"
  /// Names the checkpoint with the best validation.
  package static let bestName = "best"
  /// The running average of the weights, in the format of the weights.
  package static let averageName = "ema.safetensors"
  package static let stateName = "state.json"
  package static let optimizerName = "optimizer.safetensors"
  package static let tokenizerName = "tokenizer.model"
  package static let sumsName = SumsFile.name

  /// Files that this program writes into checkpoints, those for other programs among them.
  package static let fileNames = PythonModel.fileNames.union([
    sumsName, stateName, optimizerName, averageName, tokenizerName, ModelFiles.configName,
    ModelFiles.weightsName, NgramFile.name, "tokenizer.json", "tokenizer_config.json",
    "generation_config.json",
    "special_tokens_map.json",
  ])

  /// The bytes of `latest` while a step is the newest, and of `best` while it is the best.
  package static func latest(step: Int) -> [UInt8] { Array((name(step: step) + "\n").utf8) }

  /// `step-00001000`.
  package static func name(step: Int) -> String {
    let digits = String(step)
    return "step-" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits
  }

  /// Steps of a run that have a complete folder, oldest first.
  package static func steps(ofRun run: String) -> [Int] {
    let entries = (try? Files.entries(of: run)) ?? []
    return entries.compactMap { entry in
      guard entry.hasPrefix("step-"), let step = Int(entry.dropFirst(5)) else { return nil }
      return entry == Self.name(step: step) ? step : nil
    }.sorted()
  }

  /// Whether a checkpoint has sums; those of a run do, those from elsewhere may not.
  ///
  /// - Throws: ``CheckpointError`` if one of a run has lost them.
  package static func hasSums(_ path: String) throws(CheckpointError) -> Bool {
    if Files.exists(path + "/" + sumsName) { return true }
    guard Files.exists(path + "/" + stateName) else { return false }
    throw .damaged(
      path: path,
      problem: "\(sumsName) is missing, so nothing says that the files are whole; take another "
        + "step, or remove \(stateName) to use the weights unchecked")
  }

  /// Compares every file of a checkpoint, or only those named, with its sum.
  ///
  /// - Parameters:
  ///   - path: The checkpoint.
  ///   - chosen: Names of files, or nil for all.
  ///   - progress: Told of bytes read.
  package static func verify(
    _ path: String, only chosen: [String]? = nil, progress: (Int) -> Void = { _ in }
  ) throws {
    let sumsPath = path + "/" + sumsName
    guard let lines = SumsFile.parse(try Files.contents(of: sumsPath)),
      !lines.contains(where: { $0.name.contains("/") || $0.name.contains("\0") })
    else {
      throw CheckpointError.damaged(path: sumsPath, problem: "a line is not a sum and a name")
    }
    let names = Set(lines.map(\.name))
    for line in lines where chosen?.contains(line.name) ?? true {
      let file = path + "/" + line.name
      let found = try SHA256.hexDigest(ofFile: file, progress: progress)
      guard found == line.digest else {
        throw CheckpointError.damaged(
          path: file, problem: "its SHA-256 is \(found), expected \(line.digest)")
      }
    }
    // Rows of n-grams are there only with some models.
    let rows = Files.exists(path + "/" + NgramFile.name) ? [NgramFile.name] : []
    for name in [
      ModelFiles.configName, ModelFiles.weightsName, optimizerName, stateName, tokenizerName,
    ] + rows where !names.contains(name) {
      throw CheckpointError.damaged(path: sumsPath, problem: "it has no sum for \(name)")
    }
  }
}
