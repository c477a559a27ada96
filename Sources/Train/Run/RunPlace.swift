import Eval
import Foundation
import LMData
import Model
import Storage

/// What a folder was made for, told by files that only one command writes.
package enum FolderKind: String, Sendable {
  case dataSet = "a data set"
  case run = "a training run"
  case checkpoint = "a checkpoint"

  /// Nil for any other folder, and where there is none.
  package init?(of path: String) {
    func has(_ name: String) -> Bool { Files.exists(path + "/" + name) }
    if has(Manifest.fileName) && has(CheckpointFolder.tokenizerName) {
      self = .dataSet
    } else if has(ModelFiles.configName)
      && (ModelFiles.hasWeights(directory: path) || has(CheckpointFolder.stateName))
    {
      self = .checkpoint
    } else if has(RunFolder.configName)
      && (has(MetricsLog.name) || has(CheckpointFolder.latestName)
        || !CheckpointFolder.steps(ofRun: path).isEmpty)
    {
      self = .run
    } else {
      return nil
    }
  }
}

/// Where a new run is to be written.
package enum RunPlace {
  /// Names the process that trains in the folder.
  package static let lockName = "lock"

  /// Refuses a folder that is, or is inside of, one that was made for something else.
  ///
  /// What reads that one would no longer know its files, and what replaces or removes it would take
  /// the run along. Folders are known by what they are, however they are spelled or linked to.
  ///
  /// - Parameters:
  ///   - run: The folder of the run, which need not be there.
  ///   - data: The data set it is trained on.
  ///   - isResumed: Whether the run must be there already; then it may stay where it is.
  package static func check(_ run: String, data: String, isResumed: Bool) throws {
    if let kind = FolderKind(of: run), kind != .run {
      let own = kind == .checkpoint ? FolderKind(of: Files.parent(of: existing(run))) : nil
      throw TrainingError.invalid(
        isResumed && own == .run
          ? "\(run) is a checkpoint; give the run that it belongs to, "
            + "--output \(Files.parent(of: existing(run)))"
          : "\(run) is \(kind.rawValue), into which no run is written; choose another --output")
    }
    if isResumed { return }
    let dataIdentity = try? Files.identity(of: data)
    var folder = existing(run)
    while true {
      let kind = FolderKind(of: folder)
      let isData = dataIdentity != nil && dataIdentity == (try? Files.identity(of: folder))
      let isItself = (try? Files.identity(of: folder)) == (try? Files.identity(of: run))
      if isData || (kind != nil && !isItself) {
        throw TrainingError.invalid(
          "\(run) would be inside of \(folder), \((kind ?? .dataSet).rawValue); choose another "
            + "--output")
      }
      if folder == "/" { return }
      folder = Files.parent(of: folder)
    }
  }

  /// The innermost folder of a path that is there, without links.
  private static func existing(_ path: String) -> String {
    var folder = path
    while !Files.isDirectory(folder), folder != Files.parent(of: folder) {
      folder = Files.parent(of: folder)
    }
    guard let resolved = realpath(folder, nil) else { return "/" }
    defer { free(resolved) }
    return String(cString: resolved)
  }
}
