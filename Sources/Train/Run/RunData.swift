import Foundation
package import LMData
package import Storage

/// Where the data of a run is, noted in its folder so that it can be taken up without being told.
///
/// The note decides nothing: whatever it leads to must have the fingerprint of the data that the run
/// was trained on.
package struct RunData: Codable, Sendable, Equatable {
  package static let name = "data.json"

  /// The folder of the shards, from the root.
  package var path: String
  /// The same, from the run folder: both may have been moved together.
  package var fromRun: String
  /// SHA-256 of its manifest.
  package var sha256: String

  /// The note of a run that is trained on a data set.
  package init(run: String, dataSet: DataSet) {
    path = Self.absolute(dataSet.directory)
    fromRun = Self.relative(path, to: Self.absolute(run))
    sha256 = dataSet.fingerprint
  }

  /// Writes the note, one line with its sum, into a run folder that is there.
  package func write(to run: String) throws {
    let file = run + "/" + Self.name
    try AtomicFile.write(
      SummedLog<RunData>.line(self, path: file) + [UInt8(ascii: "\n")], to: file)
  }

  /// The note of a run, or the damage to it.
  package static func contents(run: String) throws(StorageError) -> SummedLog<RunData> {
    try SummedLog(path: run + "/" + name, requiresSums: true, isAppended: false)
  }

  /// The folder of the shards that a run was trained on.
  ///
  /// - Throws: One sentence if the run does not say, or if they are there no more.
  package static func find(run: String) throws -> String {
    let file = try contents(run: run)
    guard file.damages.isEmpty, let note = file.entries.first?.entry else {
      throw TrainingError.invalid(
        (file.damages.first.map { "\($0)" } ?? "\(run) does not say where its data is")
          + "; give the shards it was trained on with --data DIR")
    }
    var problem = "is not there"
    for place in [note.path, absolute(run) + "/" + note.fromRun] {
      guard let dataSet = try? DataSet(directory: place) else {
        if Files.exists(place) { problem = "cannot be read as a data set" }
        continue
      }
      if dataSet.fingerprint == note.sha256 { return place }
      problem = "holds other shards now"
    }
    throw TrainingError.invalid(
      "\(run) was trained on \(note.path), which \(problem); give the shards it was trained on with "
        + "--data DIR")
  }

  /// A path from the root, without links if it is there.
  static func absolute(_ path: String) -> String {
    guard let real = realpath(path, nil) else {
      return URL(fileURLWithPath: path).standardizedFileURL.path
    }
    defer { free(real) }
    return String(cString: real)
  }

  /// A path from a folder, both given from the root.
  private static func relative(_ path: String, to folder: String) -> String {
    let parts = path.split(separator: "/")
    let base = folder.split(separator: "/")
    let shared = zip(parts, base).prefix { $0 == $1 }.count
    return
      (Array(repeating: "..", count: base.count - shared) + parts.dropFirst(shared).map(String.init))
      .joined(separator: "/")
  }
}
