package import Storage

/// The ids of `<s>`, `</s>` and `<unk>`.
package struct SpecialIDs: Codable, Equatable, Sendable {
  package var bos: Int32
  package var eos: Int32
  package var unk: Int32

  package init(bos: Int32, eos: Int32, unk: Int32) {
    self.bos = bos
    self.eos = eos
    self.unk = unk
  }
}

/// The tokenizer that made the ids; its model file is part of the data set.
package struct TokenizerInfo: Codable, Equatable, Sendable {
  /// Path of the model relative to the data set, as a rule `tokenizer.model`.
  package var file: String
  package var sha256: String

  /// `unigram`, `bpe` or, where every token is a word of the list, `word`.
  package var modelType: String

  /// Whether every token but the markers is a word, and every word that is none of them `<UNK>`.
  package var isOfWholeWords: Bool { modelType == "word" }

  /// Number of tokens; every id is below it.
  package var vocabularySize: Int

  package init(
    file: String = "tokenizer.model", sha256: String, modelType: String, vocabularySize: Int
  ) {
    self.file = file
    self.sha256 = sha256
    self.modelType = modelType
    self.vocabularySize = vocabularySize
  }
}

/// The list of words that the text was made with: every other word is `<UNK>` in it.
package struct VocabularyInfo: Codable, Equatable, Sendable {
  /// Path of the list relative to the data set.
  package var file: String

  /// Checksum of the list, which identifies it.
  package var sha256: String

  /// Different words in the list, markers not among them.
  package var words: Int

  package init(file: String = "vocabulary.txt", sha256: String, words: Int) {
    self.file = file
    self.sha256 = sha256
    self.words = words
  }
}

/// One of several parts of a corpus that were made apart.
package struct PartInfo: Codable, Equatable, Sendable {
  /// From 1.
  package var number: Int
  package var of: Int

  package init(number: Int, of: Int) {
    self.number = number
    self.of = of
  }
}

/// The table of contents of a data set, written last: without it, a folder is not a data set.
package struct Manifest: Codable, Equatable, Sendable {
  package static let currentVersion = 2
  /// Version 1 had `pieces` for `tokens`.
  package static let readVersions = 1...currentVersion
  package static let fileName = "manifest.json"

  package var formatVersion: Int
  package var tokenizer: TokenizerInfo
  package var special: SpecialIDs

  /// Set if words outside a list were replaced by `<UNK>` before the text was encoded.
  package var vocabulary: VocabularyInfo?

  /// What ended a line of the text: `any` if carriage returns did as well; absent for newlines alone.
  package var lineEnds: String?

  /// Which part of a corpus it is; absent where it is the whole.
  package var part: PartInfo?

  /// Shards by split (`train`, `valid`, `test`, `heldout`), in the order of their source files.
  package var splits: [String: [ShardInfo]]

  package init(
    tokenizer: TokenizerInfo, special: SpecialIDs, vocabulary: VocabularyInfo? = nil,
    lineEnds: String? = nil, part: PartInfo? = nil, splits: [String: [ShardInfo]]
  ) {
    formatVersion = Self.currentVersion
    self.tokenizer = tokenizer
    self.special = special
    self.vocabulary = vocabulary
    self.lineEnds = lineEnds
    self.part = part
    self.splits = splits
  }

  /// Bytes of one id in the shards: 2, or 4 where the vocabulary is past 65,535 tokens.
  package var idBytes: Int { Self.idBytes(vocabularySize: tokenizer.vocabularySize) }

  /// Bytes of one id for a vocabulary.
  package static func idBytes(vocabularySize: Int) -> Int { vocabularySize > 65_535 ? 4 : 2 }

  /// Sums over the shards of a split; all zero for a split that does not exist.
  package func totals(of split: String) -> Totals {
    var totals = Totals()
    for shard in splits[split] ?? [] { totals.add(shard) }
    return totals
  }

  /// Writes `SHA256SUMS` and then `manifest.json`, each whole or not at all.
  package func write(to directory: String) throws(StorageError) {
    let path = directory + "/" + Self.fileName
    let bytes = try JSONFile.encode(self, path: path)
    let sums = sums(digest: SHA256.hexDigest(of: bytes))
    try AtomicFile.write(sums, to: directory + "/" + SumsFile.name)
    try AtomicFile.write(bytes, to: path)
  }

  /// `SHA256SUMS` of the whole folder.
  ///
  /// - Parameter digest: That of the manifest's own file.
  func sums(digest: String) -> [UInt8] {
    let files =
      [(Self.fileName, digest), (tokenizer.file, tokenizer.sha256)]
      + (vocabulary.map { [($0.file, $0.sha256)] } ?? [])
      + splits.values.joined().map { ($0.file, $0.sha256) }
    return SumsFile.encode(
      files.map { SumsFile.Line(digest: $0.1, name: $0.0) }
        .sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) })
  }
}
