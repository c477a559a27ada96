import Foundation
import Storage

/// One text file of a corpus.
package struct CorpusFile: Equatable, Sendable {
  package var path: String

  /// Name for the manifest: relative to what was named by the user, without `.gz` or `.zst`.
  package var name: String
  package var split: String

  package init(path: String, name: String, split: String) {
    self.path = path
    self.name = name
    self.split = split
  }
}

/// The text files of a corpus by split, in an order that does not depend on the file system.
package struct Corpus: Equatable, Sendable {
  package var files: [CorpusFile]

  /// What was left out and why, one sentence each.
  package var notes: [String] = []

  /// The names of the splits in the order in which they are shown.
  package static let splits = ["train", "valid", "test", "heldout"]

  package init(files: [CorpusFile], notes: [String] = []) {
    self.files = files
    self.notes = notes
  }

  /// The files of one split.
  package func files(of split: String) -> [CorpusFile] { files.filter { $0.split == split } }

  /// A corpus in the layout of the One Billion Word benchmark.
  ///
  /// Training shards are `train`; held-out shard 0 is `test`, 1 is `valid`, the others are
  /// `heldout`. The unsplit file in the held-out folder repeats all of them and is left out.
  ///
  /// - Parameter directory: The folder with the two folders of the benchmark, or the one above.
  package static func billionWord(_ directory: String) throws(TokenizerError) -> Corpus {
    guard Files.isDirectory(directory) else {
      throw .noText(path: directory, expected: "a folder")
    }
    let layout = BillionWordLayout.self
    let candidates = [directory, directory + "/" + layout.archiveFolder]
    let root = candidates.first { root in
      [layout.trainingFolder, layout.heldoutFolder].contains { Files.isDirectory(root + "/" + $0) }
    }
    guard let root else {
      throw .noText(
        path: directory,
        expected: "the folders \(layout.trainingFolder) and \(layout.heldoutFolder)"
          + " (for other text use --train)")
    }
    var corpus = Corpus(files: [])
    for folder in [layout.trainingFolder, layout.heldoutFolder]
    where Files.isDirectory(root + "/" + folder) {
      try corpus.add(folder: folder, of: root)
    }
    if corpus.files.isEmpty {
      throw .noText(path: root, expected: "files such as news.en-00001-of-00100")
    }
    corpus.sort()
    return corpus
  }

  /// A corpus of any files and folders.
  ///
  /// Folders are searched to the bottom for files whose names do not begin with a dot; `-` is
  /// standard input.
  package static func plain(
    train: [String], valid: [String] = [], test: [String] = []
  ) throws(TokenizerError) -> Corpus {
    var corpus = Corpus(files: [])
    for (split, paths) in [("train", train), ("valid", valid), ("test", test)] {
      for path in paths { try corpus.add(path, to: split) }
    }
    try corpus.refuseRepeatedFiles()
    corpus.nameApart()
    return corpus
  }

  /// Throws if a file would be read twice, by whatever names and links: text of one split must not
  /// leak into another.
  private func refuseRepeatedFiles() throws(TokenizerError) {
    var seen: [Files.Identity: String] = [:]
    for file in files {
      let identity: Files.Identity
      do { identity = try Files.identity(of: file.path) } catch { throw .storage(error) }
      if let other = seen.updateValue(file.path, forKey: identity) {
        throw .duplicate(first: other, second: file.path)
      }
    }
  }

  /// Lengthens names that occur twice in a split by the folders above, until all are different.
  ///
  /// `x/a.txt` and `y/a.txt` given as two files would both be `a.txt`.
  private mutating func nameApart() {
    // One text in two forms in a folder keeps its endings; there they are the difference.
    let forms = Dictionary(grouping: files, by: { Self.plainName($0.path) })
    let paths = files.map { file in
      let plain = Self.plainName(file.path)
      let path = forms[plain, default: []].count > 1 ? file.path : plain
      return path.split(separator: "/").filter { $0 != "." }
    }
    let deepest = paths.map(\.count).max() ?? 0
    for depth in 1...deepest + 1 {
      let bySplitAndName = Dictionary(grouping: files.indices) {
        [files[$0].split, files[$0].name]
      }
      let repeated = bySplitAndName.values.filter { $0.count > 1 }.joined()
      if repeated.isEmpty { return }
      for index in repeated {
        let isWhole = paths[index].count < depth
        files[index].name =
          isWhole ? files[index].path : paths[index].suffix(depth).joined(separator: "/")
      }
    }
  }

  private mutating func add(folder: String, of root: String) throws(TokenizerError) {
    var byName: [String: String] = [:]
    for entry in try Self.entries(root + "/" + folder) where !entry.hasPrefix(".") {
      let name = Self.plainName(entry)
      let path = "\(root)/\(folder)/\(entry)"
      guard let split = BillionWordLayout.split(of: name, in: folder) else {
        notes.append("ignored \(path): \(BillionWordLayout.reasonToIgnore(name, in: folder))")
        continue
      }
      if let other = byName[name] { throw .duplicate(first: other, second: path) }
      byName[name] = path
      files.append(CorpusFile(path: path, name: folder + "/" + name, split: split))
    }
  }

  private mutating func add(_ path: String, to split: String) throws(TokenizerError) {
    if path == PipeSpool.standardInput {
      return files.append(CorpusFile(path: "/dev/stdin", name: "stdin", split: split))
    }
    guard Files.isDirectory(path) else {
      guard Files.exists(path) else {
        throw .storage(.system(path: path, doing: "open", code: ENOENT))
      }
      let name = Self.plainName(Files.name(of: path))
      files.append(CorpusFile(path: path, name: name, split: split))
      return
    }
    let before = files.count
    try addContents(of: path, prefix: "", to: split)
    if files.count == before { throw .noText(path: path, expected: "at least one file") }
  }

  private mutating func addContents(
    of folder: String, prefix: String, to split: String
  ) throws(TokenizerError) {
    for entry in try Self.entries(folder) where !entry.hasPrefix(".") {
      let path = folder + "/" + entry
      if Files.isDirectory(path) {
        try addContents(of: path, prefix: prefix + entry + "/", to: split)
      } else {
        files.append(CorpusFile(path: path, name: prefix + Self.plainName(entry), split: split))
      }
    }
  }

  private mutating func sort() {
    let rank = Dictionary(uniqueKeysWithValues: zip(Self.splits, 0...))
    files.sort { first, second in
      let (a, b) = (rank[first.split] ?? 0, rank[second.split] ?? 0)
      return a != b ? a < b : first.name < second.name
    }
  }

  private static func entries(_ folder: String) throws(TokenizerError) -> [String] {
    do { return try Files.entries(of: folder) } catch { throw .storage(error) }
  }

  /// A file name without the ending of its compression.
  private static func plainName(_ name: String) -> String {
    for ending in [".gz", ".zst"] where name.hasSuffix(ending) && name.count > ending.count {
      return String(name.dropLast(ending.count))
    }
    return name
  }
}
