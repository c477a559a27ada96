import Model
import Storage

/// Where an export is to go: whether something stands there, and whether it may be replaced.
///
/// Only what an export has written is ever replaced, and never the model that is read.
package struct ExportPlace {
  package let path: String

  /// The run or checkpoint that is read.
  private let checkpoint: String
  private let overwrite: Bool

  /// - Parameters:
  ///   - path: The folder or file to be written.
  ///   - checkpoint: The run or checkpoint that is read.
  ///   - overwrite: Whether an earlier export may be replaced.
  package init(_ path: String, checkpoint: String, overwrite: Bool) {
    self.path = path
    self.checkpoint = checkpoint
    self.overwrite = overwrite
  }

  /// Throws unless a GGUF file may be written there.
  package func checkFile() throws {
    guard Files.exists(path) else { return }
    guard Files.sizeIfRegular(path) != nil else { throw refusal("it is not a regular file") }
    try requireOverwrite()
    let file = try MappedFile(path: path)
    let isModel = withExtendedLifetime(file) { file.bytes.starts(with: GGUFFile.magic) }
    guard isModel else { throw refusal("it is no GGUF file") }
  }

  /// Throws unless a folder may be written there.
  package func checkFolder() throws {
    guard Files.exists(path) else { return }
    guard Files.isDirectory(path) else { throw refusal("it is no folder") }
    if try Files.entries(of: path).isEmpty { return }
    try requireOverwrite()
    _ = try names(in: path)
  }

  /// Gives a folder that is complete its name.
  func commit(_ directory: AtomicDirectory) throws {
    guard overwrite else { return try directory.commit() }
    guard let kept = try directory.commit(removing: { try names(in: $0) }) else { return }
    throw ExportError.invalid(
      "\(path) is written, but files came into the old one meanwhile; they are in \(kept) now")
  }

  /// The names of all that stands in a folder that may be removed.
  ///
  /// - Parameter folder: Where the folder is now: it may have been moved aside.
  /// - Throws: `ExportError` if it holds anything that no export has, or is the model itself.
  private func names(in folder: String) throws -> [String] {
    if let read = try? Files.identity(of: checkpoint), read == (try? Files.identity(of: folder)) {
      throw refusal("it is the model that is read")
    }
    let training = [
      CheckpointFolder.sumsName, CheckpointFolder.stateName, CheckpointFolder.optimizerName,
      CheckpointFolder.averageName,
    ]
    let known = CheckpointFolder.fileNames.subtracting(training)
    let names = try Files.entries(of: folder)
    for name in names where !known.contains(name) || !Files.isRegularFile(folder + "/" + name) {
      throw refusal("it holds \(name), which no export has")
    }
    return names
  }

  private func requireOverwrite() throws {
    if overwrite { return }
    throw ExportError.invalid(
      "\(path) exists already; choose another --output, or replace it with lm-eval export --overwrite"
    )
  }

  private func refusal(_ reason: String) -> ExportError {
    .invalid("\(path) exists already and cannot be replaced: \(reason); choose another --output")
  }
}
