import Foundation
import LMData
import Model
import Storage

/// A file that a command is asked to write.
package enum OutputFile {
  /// Refuses one that would be written over what is read, or over a file of a data set, a run or a
  /// checkpoint.
  ///
  /// Anything else, such as what was written there last time, is replaced.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - option: The option that named it, for the message.
  ///   - inputs: All that is read, known by what they are and not by their spelling.
  package static func check(_ path: String, option: String, inputs: [String]) throws {
    var status = stat()
    // What is not there, a pipe or a device cannot be lost.
    guard let identity = try? Files.identity(of: path), stat(path, &status) == 0,
      status.st_mode & S_IFMT == S_IFREG
    else { return }
    for input in inputs where (try? Files.identity(of: input)) == identity {
      throw TrainingError.invalid(
        "\(option) \(path) would be written over \(input), which is read; choose another file")
    }
    let folder = Files.parent(of: path)
    guard let kind = FolderKind(of: folder), files(of: kind, folder).contains(Files.name(of: path))
    else { return }
    throw TrainingError.invalid(
      "\(option) \(path) would be written over a file of \(kind.rawValue); choose another file")
  }

  /// Names of the files that are part of such a folder.
  private static func files(of kind: FolderKind, _ folder: String) -> Set<String> {
    let sums = try? Files.contents(of: folder + "/" + SumsFile.name)
    let listed = sums.flatMap { SumsFile.parse($0) }?.map(\.name) ?? []
    switch kind {
    case .dataSet:
      return Set(listed + [SumsFile.name, Manifest.fileName, CheckpointFolder.tokenizerName])
    case .checkpoint:
      return CheckpointFolder.fileNames.union(listed)
    case .run:
      return Set(listed + RunFolder.fileNames + [RunPlace.lockName])
    }
  }
}
