import Eval
import LMData
import Storage
import Train

/// A run beside others: its record, and what it is compared by.
package struct ComparedRun: Sendable {
  /// The end of its path, as long as it takes to tell the runs apart.
  let name: String
  let record: RunRecord
  let sentences: [SentenceRecord]
  /// SHA-256 of the manifest of the shards it was trained on, if it says so.
  let dataSHA256: String?
  /// Of those shards, if they are where the run says.
  let manifest: Manifest?

  /// Runs to be shown side by side, in the order of their paths.
  ///
  /// - Throws: `ReportError` for a folder that is no run, for one that is given twice, and for more than can
  ///   be told apart.
  package static func all(of paths: [String]) throws -> [ComparedRun] {
    guard paths.count <= RunStyle.count else {
      throw ReportError.tooMany(paths.count, most: RunStyle.count)
    }
    let records = try paths.map { try RunRecord(path: $0) }
    for (index, record) in records.enumerated() {
      let identity = try Files.identity(of: record.path)
      let first = try records[..<index].firstIndex {
        try Files.identity(of: $0.path) == identity
      }
      if let first { throw ReportError.givenTwice(paths[first], paths[index]) }
    }
    let names = distinctNames(records.map(\.path))
    return try zip(records, names).map { try ComparedRun($0, name: $1) }
  }

  private init(_ record: RunRecord, name: String) throws {
    self.name = name
    var record = record
    let log = try SentenceRecord.contents(run: record.path)
    record.damages += log.damages.map { "\($0); it is left out" }
    self.record = record
    sentences = log.entries.map(\.entry)
    // Damage of the note itself is for lm-train --resume and lm-eval verify, which need it.
    dataSHA256 = try? RunData.contents(run: record.path).entries.first?.entry.sha256
    manifest = (try? RunData.find(run: record.path)).flatMap {
      try? DataSet(directory: $0).manifest
    }
  }

  /// The last component of every path, with as many before it as make all names different.
  package static func distinctNames(_ paths: [String]) -> [String] {
    let parts = paths.map { $0.split(separator: "/").map(String.init) }
    func names(_ count: Int) -> [String] {
      parts.map { $0.suffix(count).joined(separator: "/") }
    }
    let longest = parts.map(\.count).max() ?? 1
    return (1...max(1, longest)).lazy.map(names).first { Set($0).count == paths.count } ?? paths
  }
}
