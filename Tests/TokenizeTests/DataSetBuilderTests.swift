import Foundation
import LMData
import Storage
import Synchronization
import TestSupport
import Testing
import Tokenize

@Suite struct DataSetBuilderTests {
  /// The text of a split, decoded from its shards, and what the manifest says of it.
  private func text(of split: String, in output: String) throws -> String {
    let data = try DataSet(directory: output)
    try data.verify()
    let table = try SentencePieceModel(path: data.tokenizerPath).tokenTable()
    var text: [UInt8] = []
    for shard in try data.split(split) {
      var sentence: [Int32] = []
      for id in try data.reader(for: shard).decodeAll() {
        if id == data.special.eos {
          text += table.decode(sentence) + [0x0A]
          sentence.removeAll()
        } else {
          sentence.append(id)
        }
      }
    }
    return String(decoding: text, as: UTF8.self)
  }

  private func builder(
    _ folder: TemporaryFolder, train: [String], output: String = "out"
  ) throws -> DataSetBuilder {
    var builder = DataSetBuilder(
      corpus: try Corpus.plain(train: train.map { folder.path + "/" + $0 }),
      output: folder.path + "/" + output,
      tokenizer: .train(TokenizerRecipe(vocabularySize: 400), SampleLimits()))
    builder.threads = 2
    return builder
  }

  private let sample = Samples.lines(1500, seed: 21).joined(separator: "\n") + "\n"

  @Test func textComesBackWhole() throws {
    let folder = try TemporaryFolder()
    let odd = Samples.awkward.joined(separator: "\n") + "\n\n\nlast line without a newline"
    try folder.write(sample, to: "in/a.txt")
    try folder.write(odd, to: "in/b.txt")
    let manifest = try builder(folder, train: ["in"]).build()
    let whole = sample + odd + "\n"
    #expect(try text(of: "train", in: folder.path + "/out") == whole)
    let totals = manifest.totals(of: "train")
    #expect(totals.shards == 2)
    #expect(totals.sentences == whole.utf8.count { $0 == 0x0A })
    #expect(totals.bytes == whole.utf8.count)
    let words = whole.utf8.split { $0 == 0x20 || (0x09...0x0D).contains($0) }
    #expect(totals.words == words.count)
    #expect(manifest.tokenizer.modelType == "unigram")
    #expect(manifest.splits["train"]?.map(\.file) == ["train-00000.zst", "train-00001.zst"])
    #expect(manifest.splits["train"]?.map(\.source) == ["a.txt", "b.txt"])
    #expect(
      try folder.contents(of: "out").keys.sorted() == [
        "SHA256SUMS", "manifest.json", "tokenizer.model", "train-00000.zst", "train-00001.zst",
      ])
    #expect(try Files.entries(of: folder.path) == ["in", "out"])
  }

  @Test(arguments: ModelType.allCases)
  func bytesDoNotDependOnThreads(_ type: ModelType) throws {
    let folder = try TemporaryFolder()
    // Blocks are 1 MiB and shards 2 MiB here: the first file is cut into several of each.
    try folder.write(String(repeating: sample, count: 60), to: "in/large.txt")
    for number in 0..<6 {
      let lines = Samples.lines(200, seed: UInt64(number)).joined(separator: "\n")
      try folder.write(lines, to: "in/small\(number).txt")
    }
    var results: [[String: [UInt8]]] = []
    for threads in [1, 2, 3, 2] {
      var builder = try builder(folder, train: ["in"], output: "out\(results.count)")
      let recipe = TokenizerRecipe(modelType: type, vocabularySize: 400)
      builder.tokenizer = .train(recipe, SampleLimits(sentences: 700))
      builder.threads = threads
      builder.shardBytes = 2 << 20
      _ = try builder.build()
      results.append(try folder.contents(of: "out\(results.count)"))
    }
    #expect(results[0].count > 10)
    for other in results.dropFirst() { #expect(other == results[0]) }
  }

  @Test func compressedFilesGiveTheSameData() throws {
    let folder = try TemporaryFolder()
    let bytes = Array(String(repeating: sample, count: 3).utf8)
    let half = bytes.count / 2
    try folder.write(bytes, to: "plain/text")
    try folder.write(
      StoredArchives.zstd(Array(bytes[..<half]), [], Array(bytes[half...])), to: "zst/text.zst")
    try folder.write(StoredArchives.gzip(bytes), to: "gz/text.gz")
    // A name says nothing: what is no UTF-8 but begins as an archive is one.
    try folder.write(StoredArchives.zstd(bytes), to: "bare-zst/text")
    try folder.write(StoredArchives.gzip(bytes), to: "bare-gz/text")
    let names = ["plain", "zst", "gz", "bare-zst", "bare-gz"]
    for name in names {
      _ = try builder(folder, train: [name], output: "out-" + name).build()
    }
    let plain = try folder.contents(of: "out-plain")
    for name in names { #expect(try folder.contents(of: "out-" + name) == plain, "\(name)") }
  }

  @Test func damagedArchivesAreErrorsByName() throws {
    let folder = try TemporaryFolder()
    let bytes = Array(sample.utf8)
    let archives = [
      "cut.zst": Array(StoredArchives.zstd(bytes).dropLast(100)),
      "header.zst": Array(StoredArchives.zstd(bytes, bytes).prefix(bytes.count + 14)),
      "no.zst": Array("this is no archive".utf8),
      "cut.gz": Array(StoredArchives.gzip(bytes).dropLast(100)),
      "no.gz": Array("this is no archive".utf8),
    ]
    for (name, archive) in archives.sorted(by: { $0.key < $1.key }) {
      try folder.write(archive, to: name)
      #expect {
        try builder(folder, train: [name]).build()
      } throws: { error in
        guard case .undecodable(let path, let reason) = error as? TokenizerError else {
          return false
        }
        return path.hasSuffix(name) && !reason.isEmpty
      }
    }
    #expect(!Files.exists(folder.path + "/out"))
  }

  @Test func badUTF8IsNamedByFileAndLine() throws {
    let folder = try TemporaryFolder()
    try folder.write(sample, to: "good.txt")
    let lines = Array(String(repeating: sample, count: 30).utf8)
    let before = lines.count { $0 == 0x0A }
    try folder.write(lines + Array("fine\nnot \u{E9} ".utf8) + [0xE9, 0x0A], to: "bad.txt")
    let model = try folder.write(try Samples.model(.bpe).serialized, to: "m")
    for tokenizer in [
      DataSetBuilder.Tokenizer.file(model), .train(TokenizerRecipe(), SampleLimits()),
    ] {
      var builder = try builder(folder, train: ["good.txt", "bad.txt"])
      builder.tokenizer = tokenizer
      #expect(
        throws: TokenizerError.invalidUTF8(path: folder.path + "/bad.txt", line: before + 2)
      ) { try builder.build() }
    }
    #expect(try Files.entries(of: folder.path) == ["bad.txt", "good.txt", "m"])
  }

  @Test func emptyFilesAreErrorsByName() throws {
    let folder = try TemporaryFolder()
    try folder.write(sample, to: "a")
    let empty = try folder.write("", to: "b")
    #expect(throws: TokenizerError.emptyText(path: empty)) {
      try builder(folder, train: ["a", "b"]).build()
    }
    try folder.write(StoredArchives.zstd([]), to: "c.zst")
    #expect(throws: TokenizerError.emptyText(path: folder.path + "/c.zst")) {
      try builder(folder, train: ["c.zst"]).build()
    }
  }

  @Test func anExistingDataSetIsKeptUntilTheNewOneIsComplete() throws {
    let folder = try TemporaryFolder()
    try folder.write(sample, to: "a")
    var builder = try builder(folder, train: ["a"])
    _ = try builder.build()
    let before = try folder.contents(of: "out")
    builder.overwrite = true
    builder.tokenizer = .train(TokenizerRecipe(vocabularySize: 100_000), SampleLimits())
    #expect(throws: TokenizerError.self) { try builder.build() }
    #expect(try folder.contents(of: "out") == before)
    builder.tokenizer = .train(TokenizerRecipe(vocabularySize: 300), SampleLimits())
    #expect(try builder.build().tokenizer.vocabularySize == 300)
    #expect(try text(of: "train", in: folder.path + "/out") == sample)
    #expect(try Files.entries(of: folder.path) == ["a", "out"])
  }

  /// Two that make one folder would remove each other's work: the second is refused at once.
  @Test func oneAtATimeMakesAFolder() throws {
    let folder = try TemporaryFolder()
    try folder.write(Samples.lines(200, seed: 1).joined(separator: "\n") + "\n", to: "text.txt")
    let builder = try builder(folder, train: ["text.txt"])
    let lock = try FileLock(of: "the other", at: folder.path + "/.out.lock")
    let error = #expect(throws: TokenizerError.self) { try builder.build() }
    #expect("\(try #require(error))".contains("process \(getpid())"))
    #expect(!Files.exists(builder.output))
    lock.release()
    _ = try builder.build()
    #expect(try Files.entries(of: folder.path) == ["out", "text.txt"])
  }

  @Test func anInterruptLeavesNothing() throws {
    let folder = try TemporaryFolder()
    try folder.write(String(repeating: sample, count: 60), to: "a")
    let isStopped = Atomic(false)
    var builder = try builder(folder, train: ["a"])
    builder.tokenizer = .file(try folder.write(try Samples.model(.bpe).serialized, to: "m"))
    #expect(throws: TokenizerError.interrupted) {
      try builder.build(isCancelled: { isStopped.load(ordering: .relaxed) }) { phase in
        if case .encoding = phase { isStopped.store(true, ordering: .relaxed) }
      }
    }
    #expect(try Files.entries(of: folder.path) == ["a", "m"])
  }

  @Test func linesAreDealtOutByShare() throws {
    let folder = try TemporaryFolder()
    let many = String(repeating: sample, count: 8)
    try folder.write(many, to: "a")
    var results: [[String: String]] = []
    for (seed, threads) in [(1, 1), (1, 3), (2, 2)] as [(UInt64, Int)] {
      var builder = try builder(folder, train: ["a"], output: "out\(results.count)")
      builder.rule = try SplitRule(valid: 0.1, test: 0.05, seed: seed)
      builder.threads = threads
      let manifest = try builder.build()
      let sentences = ["train", "valid", "test"].map { manifest.totals(of: $0).sentences }
      #expect(sentences.reduce(0, +) == 12_000)
      // Five standard deviations of a binomial.
      #expect(abs(sentences[1] - 1200) < 165 && abs(sentences[2] - 600) < 120)
      var texts: [String: String] = [:]
      for split in ["train", "valid", "test"] {
        texts[split] = try text(of: split, in: folder.path + "/out\(results.count)")
      }
      let all = texts.values.joined().split(separator: "\n").sorted()
      #expect(all == many.split(separator: "\n").sorted())
      results.append(texts)
    }
    #expect(results[0] == results[1])
    #expect(results[0] != results[2])
  }

  /// Few lines leave a split empty; that is said, once, and only of splits that were asked for.
  @Test(
    arguments: [
      (1, 0.1, 0.0, "none of the text's 1 line fell to valid,"),
      (2, 0.001, 0.001, "none of the text's 2 lines fell to valid or test,"),
      (2, 0, 0.001, "none of the text's 2 lines fell to test,"),
      (1, 0.999, 0, "none of the text's 1 line fell to train,"),
      (400, 0.2, 0.2, nil),
    ] as [(Int, Double, Double, String?)])
  func splitsThatStayEmptyAreNamed(
    lines: Int, valid: Double, test: Double, expected: String?
  ) throws {
    let folder = try TemporaryFolder()
    try folder.write(String(repeating: "a line of words\n", count: lines), to: "a")
    var builder = try builder(folder, train: ["a"])
    builder.tokenizer = .file(try folder.write(try Samples.model(.bpe).serialized, to: "m"))
    builder.rule = try SplitRule(valid: valid, test: test, seed: 1)
    let notes = Mutex<[String]>([])
    _ = try builder.build(report: { phase in
      if case .note(let sentence) = phase { notes.withLock { $0.append(sentence) } }
    })
    let found = notes.withLock { $0 }
    #expect(found.count == (expected == nil ? 0 : 1), "\(found)")
    if let expected { #expect(found.first?.hasPrefix(expected) ?? false, "\(found)") }
  }

  @Test func aTokenizerNeedsALineForTraining() throws {
    let folder = try TemporaryFolder()
    try folder.write("a line of words\n", to: "a")
    var builder = try builder(folder, train: ["a"])
    builder.rule = try SplitRule(valid: 0.999, test: 0, seed: 1)
    let error = #expect(throws: TokenizerError.self) { try builder.build() }
    #expect(error.map { "\($0)".contains("no line of the text fell to training") } ?? false)
    #expect(try Files.entries(of: folder.path) == ["a"])
  }

  @Test func sharesThatLeaveNothingAreErrors() throws {
    for (valid, test) in [(0.5, 0.5), (-0.1, 0), (0, 1), (Double.nan, 0)] {
      #expect(throws: TokenizerError.self) { try SplitRule(valid: valid, test: test, seed: 1) }
    }
    let folder = try TemporaryFolder()
    try folder.write(sample, to: "a")
    try folder.write(sample, to: "b")
    var builder = try builder(folder, train: ["a"])
    builder.corpus = try Corpus.plain(
      train: [folder.path + "/a"], valid: [folder.path + "/b"])
    builder.rule = try SplitRule(valid: 0.1, test: 0, seed: 1)
    #expect(throws: TokenizerError.self) { try builder.build() }
  }

  @Test func aTokenizerFromAFileIsCopiedAsItIs() throws {
    let folder = try TemporaryFolder()
    try folder.write(sample, to: "a")
    let model = try Samples.model(.unigram)
    var builder = try builder(folder, train: [])
    builder.corpus = try Corpus.plain(train: [], test: [folder.path + "/a"])
    #expect(throws: TokenizerError.self) { try builder.build() }
    builder.tokenizer = .file(try folder.write(model.serialized, to: "m"))
    let manifest = try builder.build()
    #expect(manifest.tokenizer.modelType == "unigram")
    #expect(manifest.tokenizer.sha256 == SHA256.hexDigest(of: model.serialized))
    #expect(try Files.contents(of: folder.path + "/out/tokenizer.model") == model.serialized)
    #expect(Array(manifest.splits.keys) == ["test"])
    #expect(try text(of: "test", in: folder.path + "/out") == sample)
  }

  /// Lines longer than a block, lines that end at its border, and none that ends at all.
  @Test func linesOfAnyLengthComeBack() throws {
    let folder = try TemporaryFolder()
    let mebibyte = 1 << 20
    let long = String(repeating: "the an ", count: 200_000)
    let exact = String(repeating: "a", count: mebibyte - 1)
    let texts = [
      "a\n" + long + "\nb\n", exact + "\n" + exact + "\n", exact + "a\nb", long, "\n", "\n\n\n",
    ]
    let model = try folder.write(try Samples.model(.unigram).serialized, to: "m")
    for (number, whole) in texts.enumerated() {
      try folder.write(whole, to: "in\(number)")
      var builder = try builder(folder, train: ["in\(number)"], output: "out\(number)")
      builder.tokenizer = .file(model)
      _ = try builder.build()
      let expected = whole.hasSuffix("\n") ? whole : whole + "\n"
      let found = try text(of: "train", in: folder.path + "/out\(number)")
      #expect(found == expected, "text \(number)")
    }
  }
}
