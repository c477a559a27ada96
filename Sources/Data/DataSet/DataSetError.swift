package import Storage

/// Why a folder cannot be used as a data set.
package enum DataSetError: Error, Equatable, Sendable {
  /// There is no manifest: no data set was written here, or not to the end.
  case notADataSet(directory: String)

  /// The manifest is of another version of the format.
  case formatVersion(path: String, expected: Int, found: Int)

  /// A file name in the manifest leads out of the folder.
  case outsideFolder(manifest: String, file: String)

  /// A value in the manifest is out of range.
  case invalid(manifest: String, what: String, found: String)

  /// `SHA256SUMS` has other checksums than the manifest and the files that it names.
  case otherSums(path: String, manifest: String, digest: String)

  /// The tokenizer is not the one the shards were made with.
  case otherTokenizer(path: String, expected: String, found: String)

  /// The list of words is not the one the shards were made with.
  case otherVocabulary(path: String, expected: String, found: String)

  /// The split does not exist, or holds no sentence.
  case noSentences(directory: String, split: String, available: [String])

  /// A cursor of another data set, or of another mode.
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
