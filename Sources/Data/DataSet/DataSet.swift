import Storage

/// A folder of shards with a manifest that matches them.
package struct DataSet: Sendable {
  package let directory: String
  package let manifest: Manifest

  /// SHA-256 of the manifest: two data sets with the same one hold the same ids.
  package let fingerprint: String

  /// Reads the manifest and checks that every file it names is there and has its size.
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
      guard Manifest.readVersions.contains(version) else {
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
  /// - Parameter progress: Called with the size of every shard in bytes when it has been read.
  package func verify(progress: (Int) -> Void = { _ in }) throws(ShardError) {
    // A word is one token there: what is counted as unknown is <UNK>, and nothing else is.
    let unknown = manifest.tokenizer.isOfWholeWords ? special.unk : nil
    for name in manifest.splits.keys.sorted() {
      for shard in manifest.splits[name] ?? [] {
        try reader(for: shard).verify(eos: special.eos, unknown: unknown)
        progress(shard.compressedBytes)
      }
    }
  }

  /// Compares the manifest itself with `SHA256SUMS`, which data sets of older versions do not have.
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
        ("sentences", shard.sentences), ("tokens", shard.tokens), ("words", shard.words),
        ("bytes", shard.bytes), ("compressedBytes", shard.compressedBytes),
        ("longestSentence", shard.longestSentence), ("unknownWords", shard.unknownWords ?? 0),
      ] {
        try require(count >= 0 && count <= limit, "\(name) of \(shard.file)", count)
      }
      // Memory is planned by it.
      try require(
        shard.longestSentence <= shard.tokens, "longestSentence of \(shard.file)",
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
