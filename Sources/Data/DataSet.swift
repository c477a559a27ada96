package import Storage

/// Why a folder cannot be used as a data set.
package enum DataSetError: Error, Equatable, Sendable {
  /// There is no manifest: nothing was written here, or the writing did not end.
  case notADataSet(directory: String)

  /// The manifest is of another version of the format.
  case formatVersion(path: String, expected: Int, found: Int)

  /// A file name in the manifest leads out of the folder.
  case outsideFolder(manifest: String, file: String)

  /// A value in the manifest cannot be.
  case invalid(manifest: String, what: String, found: String)

  /// `SHA256SUMS` has not the sums of the manifest and of the files that the manifest names.
  case otherSums(path: String, manifest: String, digest: String)

  /// The tokenizer is not the one the shards were made with.
  case otherTokenizer(path: String, expected: String, found: String)

  /// The list of words is not the one the shards were made with.
  case otherVocabulary(path: String, expected: String, found: String)

  /// The split does not exist, or holds no sentence.
  case noSentences(directory: String, split: String, available: [String])

  /// A position of another data set, or of another mode.
  case cursor(found: Cursor, allowed: String)

  case storage(StorageError)
  case shard(ShardError)
}

extension DataSetError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .notADataSet(let directory):
      return "\(directory) is not a data set: it has no \(Manifest.fileName); "
        + "make one with lm-tokenize"
    case .formatVersion(let path, let expected, let found):
      return "\(path) is of format version \(found), but this program reads version \(expected); "
        + "run lm-tokenize again"
    case .outsideFolder(let manifest, let file):
      return "\(manifest) names the file \"\(file)\", which is not inside its folder"
    case .invalid(let manifest, let what, let found):
      return "\(manifest) is damaged: \(what) cannot be \(found); run lm-tokenize again"
    case .otherSums(let path, let manifest, let digest):
      return "\(path) does not belong to \(manifest), whose SHA-256 is \(digest): one of them is "
        + "damaged; copy both again or run lm-tokenize again"
    case .otherTokenizer(let path, let expected, let found):
      return "\(path) is not the tokenizer of these shards: its SHA-256 should be \(expected) "
        + "but is \(found)"
    case .otherVocabulary(let path, let expected, let found):
      return "\(path) is not the list of words of these shards: its SHA-256 should be \(expected) "
        + "but is \(found)"
    case .noSentences(let directory, let split, let available):
      let names = available.isEmpty ? "none" : available.joined(separator: ", ")
      return "\(directory) has no sentences in the split \"\(split)\"; splits with sentences: "
        + names
    case .cursor(let found, let allowed):
      return "the position (epoch \(found.epoch), shard \(found.shard), sequence "
        + "\(found.sentence)) is not one of this data set: \(allowed)"
    case .storage(let error):
      return error.description
    case .shard(let error):
      return error.description
    }
  }
}

/// A folder of shards with a manifest that matches them.
package struct DataSet: Sendable {
  package let directory: String
  package let manifest: Manifest

  /// SHA-256 of the manifest: two data sets with the same one hold the same ids.
  package let fingerprint: String

  /// Reads the manifest and checks that every file it names is there, whole by its size.
  ///
  /// The shards themselves are checked as they are read; ``verify()`` reads all of them at once.
  package init(directory: String) throws(DataSetError) {
    self.directory = directory
    let path = directory + "/" + Manifest.fileName
    guard Files.exists(path) else { throw .notADataSet(directory: directory) }
    do {
      let bytes = try Files.contents(of: path)
      fingerprint = SHA256.hexDigest(of: bytes)
      // The version first: another version may have other keys.
      let version = try JSONFile.decode(Version.self, from: bytes, path: path).formatVersion
      guard version == Manifest.currentVersion else {
        throw DataSetError.formatVersion(
          path: path, expected: Manifest.currentVersion, found: version)
      }
      manifest = try JSONFile.decode(Manifest.self, from: bytes, path: path)
    } catch let error as DataSetError {
      throw error
    } catch let error as StorageError {
      throw .storage(error)
    } catch {
      throw .invalid(manifest: path, what: "its contents", found: "\(error)")
    }
    try checkNumbers(manifestPath: path)
    try checkFiles(manifestPath: path)
    try checkSums(manifestPath: path)
  }

  private struct Version: Decodable { var formatVersion: Int }

  package var special: SpecialIDs { manifest.special }

  /// Where the model of the tokenizer is.
  package var tokenizerPath: String { directory + "/" + manifest.tokenizer.file }

  /// The shards of a split that has at least one sentence.
  package func split(_ name: String) throws(DataSetError) -> [ShardInfo] {
    let shards = manifest.splits[name] ?? []
    if shards.contains(where: { $0.sentences > 0 }) { return shards }
    let available = manifest.splits.filter { $0.value.contains { $0.sentences > 0 } }.keys
    throw .noSentences(directory: directory, split: name, available: available.sorted())
  }

  /// Opens a shard.
  package func reader(for shard: ShardInfo) throws(ShardError) -> ShardReader {
    try ShardReader(
      path: directory + "/" + shard.file, info: shard, idBytes: manifest.idBytes,
      vocabularySize: manifest.tokenizer.vocabularySize)
  }

  /// Reads every byte of every shard and compares checksums and counts.
  ///
  /// - Parameter progress: Told of bytes of the files.
  package func verify(progress: (Int) -> Void = { _ in }) throws(ShardError) {
    for name in manifest.splits.keys.sorted() {
      for shard in manifest.splits[name] ?? [] {
        try reader(for: shard).verify(eos: special.eos)
        progress(shard.compressedBytes)
      }
    }
  }

  /// Compares the manifest itself with `SHA256SUMS`, which data sets of before do not have.
  private func checkSums(manifestPath: String) throws(DataSetError) {
    let path = directory + "/" + SumsFile.name
    guard Files.exists(path) else { return }
    let found: [UInt8]
    do { found = try Files.contents(of: path) } catch { throw .storage(error) }
    guard found == manifest.sums(digest: fingerprint) else {
      throw .otherSums(path: path, manifest: manifestPath, digest: fingerprint)
    }
  }

  private func checkNumbers(manifestPath: String) throws(DataSetError) {
    func require(_ holds: Bool, _ what: String, _ found: Int) throws(DataSetError) {
      if !holds { throw .invalid(manifest: manifestPath, what: what, found: "\(found)") }
    }
    let vocabulary = manifest.tokenizer.vocabularySize
    try require(
      vocabulary > 0 && vocabulary <= Int(Int32.max), "tokenizer.vocabularySize", vocabulary)
    for (name, id) in [
      ("special.bos", special.bos), ("special.eos", special.eos), ("special.unk", special.unk),
    ] {
      try require(id >= 0 && Int(id) < vocabulary, name, Int(id))
    }
    // Far past any corpus, and small enough that no sum of counts can overflow.
    let limit = 1 << 48
    for shard in manifest.splits.values.joined() {
      for (name, count) in [
        ("sentences", shard.sentences), ("pieces", shard.pieces), ("words", shard.words),
        ("bytes", shard.bytes), ("compressedBytes", shard.compressedBytes),
        ("longestSentence", shard.longestSentence), ("unknownWords", shard.unknownWords ?? 0),
      ] {
        try require(count >= 0 && count <= limit, "\(name) of \(shard.file)", count)
      }
      // Memory is planned by it.
      try require(
        shard.longestSentence <= shard.pieces, "longestSentence of \(shard.file)",
        shard.longestSentence)
    }
  }

  private func checkFiles(manifestPath: String) throws(DataSetError) {
    let beside = [manifest.tokenizer.file] + (manifest.vocabulary.map { [$0.file] } ?? [])
    for file in beside + manifest.splits.values.joined().map(\.file) {
      let parts = file.split(separator: "/", omittingEmptySubsequences: false)
      if parts.contains(where: { ["", ".", ".."].contains($0) || $0.contains("\0") }) {
        throw .outsideFolder(manifest: manifestPath, file: file)
      }
    }
    do {
      let digest = try SHA256.hexDigest(ofFile: tokenizerPath)
      if digest != manifest.tokenizer.sha256 {
        throw DataSetError.otherTokenizer(
          path: tokenizerPath, expected: manifest.tokenizer.sha256, found: digest)
      }
      if let vocabulary = manifest.vocabulary {
        let path = directory + "/" + vocabulary.file
        let digest = try SHA256.hexDigest(ofFile: path)
        if digest != vocabulary.sha256 {
          throw DataSetError.otherVocabulary(
            path: path, expected: vocabulary.sha256, found: digest)
        }
      }
      for shard in manifest.splits.values.joined() {
        let path = directory + "/" + shard.file
        let size = try Files.size(of: path)
        if size != shard.compressedBytes {
          throw DataSetError.shard(
            .mismatch(path, "its size in bytes", expected: shard.compressedBytes, found: size))
        }
      }
    } catch let error as DataSetError {
      throw error
    } catch let error as StorageError {
      throw .storage(error)
    } catch {
      throw .invalid(manifest: manifestPath, what: "its files", found: "\(error)")
    }
  }
}
