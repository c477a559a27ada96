import Foundation
import Storage
import TestSupport
import Testing
import Tokenize

@Suite struct CorpusTests {
  private let training = "training-monolingual.tokenized.shuffled"
  private let heldout = "heldout-monolingual.tokenized.shuffled"

  @Test func benchmarkLayoutIsRecognised() throws {
    let folder = try TemporaryFolder()
    for name in [
      "\(training)/news.en-00002-of-00100", "\(training)/news.en-00001-of-00100.gz",
      "\(heldout)/news.en.heldout-00000-of-00050", "\(heldout)/news.en.heldout-00001-of-00050.zst",
      "\(heldout)/news.en.heldout-00007-of-00050",
    ] { try folder.write("a\n", to: "root/" + name) }
    let corpus = try Corpus.billionWord(folder.path + "/root")
    #expect(
      corpus.files.map(\.name) == [
        "\(training)/news.en-00001-of-00100", "\(training)/news.en-00002-of-00100",
        "\(heldout)/news.en.heldout-00001-of-00050", "\(heldout)/news.en.heldout-00000-of-00050",
        "\(heldout)/news.en.heldout-00007-of-00050",
      ])
    #expect(corpus.files.map(\.split) == ["train", "train", "valid", "test", "heldout"])
    #expect(corpus.files[0].path.hasSuffix("00001-of-00100.gz"))
    #expect(corpus.notes.isEmpty)
  }

  @Test func theFolderAboveTheBenchmarkWillDo() throws {
    let folder = try TemporaryFolder()
    let root = "1-billion-word-language-modeling-benchmark-r13output"
    try folder.write("a\n", to: "\(root)/\(training)/news.en-00099-of-00100")
    let corpus = try Corpus.billionWord(folder.path)
    #expect(corpus.files.map(\.split) == ["train"])
  }

  @Test func theUnsplitHeldOutFileIsLeftOutAndSaid() throws {
    let folder = try TemporaryFolder()
    try folder.write("a\n", to: "\(training)/news.en-00000-of-00100")
    try folder.write("a\n", to: "\(heldout)/news.en-00000-of-00100")
    try folder.write("a\n", to: "\(heldout)/news.en.heldout-00000-of-00050")
    try folder.write("a\n", to: "\(heldout)/news.en.heldout-0000-of-00050")
    try folder.write("a\n", to: "\(training)/.DS_Store")
    let corpus = try Corpus.billionWord(folder.path)
    #expect(corpus.files.map(\.split) == ["train", "test"])
    #expect(corpus.notes.count == 2)
    #expect(corpus.notes[0].contains("it repeats the held-out shards in one file"))
    #expect(corpus.notes[1].contains("not a shard of the benchmark"))
  }

  @Test func aShardInTwoFormsIsAnError() throws {
    let folder = try TemporaryFolder()
    try folder.write("a\n", to: "\(training)/news.en-00001-of-00100")
    try folder.write("a\n", to: "\(training)/news.en-00001-of-00100.gz")
    #expect {
      try Corpus.billionWord(folder.path)
    } throws: { error in
      guard case .duplicate = error as? TokenizerError else { return false }
      return "\(error)".contains("news.en-00001-of-00100.gz")
    }
  }

  @Test func foldersWithoutABenchmarkAreErrors() throws {
    let folder = try TemporaryFolder()
    #expect(throws: TokenizerError.self) { try Corpus.billionWord(folder.path) }
    #expect(throws: TokenizerError.self) { try Corpus.billionWord(folder.path + "/missing") }
    try Files.createDirectory(folder.path + "/" + training)
    #expect {
      try Corpus.billionWord(folder.path)
    } throws: { "\($0)".contains("expected files such as news.en-00001-of-00100") }
  }

  @Test func filesAndFoldersAreFound() throws {
    let folder = try TemporaryFolder()
    for name in ["in/b.txt", "in/a.txt.gz", "in/deep/c", "in/.hidden", "in/.git/d", "one.zst"] {
      try folder.write("a\n", to: name)
    }
    let corpus = try Corpus.plain(
      train: [folder.path + "/in"], valid: [folder.path + "/one.zst"])
    #expect(corpus.files.map(\.name) == ["a.txt", "b.txt", "deep/c", "one"])
    #expect(corpus.files.map(\.split) == ["train", "train", "train", "valid"])
  }

  @Test func missingEmptyAndRepeatedPathsAreErrors() throws {
    let folder = try TemporaryFolder()
    try Files.createDirectory(folder.path + "/empty")
    let file = try folder.write("a\n", to: "text")
    #expect {
      try Corpus.plain(train: [folder.path + "/missing"])
    } throws: { "\($0)".contains("/missing") }
    #expect {
      try Corpus.plain(train: [folder.path + "/empty"])
    } throws: { "\($0)".contains("at least one file") }
    #expect(throws: TokenizerError.duplicate(first: file, second: file)) {
      try Corpus.plain(train: [file], test: [file])
    }
  }

  @Test func oneFileUnderTwoNamesIsAnError() throws {
    let folder = try TemporaryFolder()
    let root = folder.path
    let file = try folder.write("a\n", to: "in/text")
    try FileManager.default.createSymbolicLink(
      atPath: root + "/soft", withDestinationPath: file)
    try FileManager.default.linkItem(atPath: file, toPath: root + "/hard")
    for other in [root + "//in/./text", root + "/in", root + "/soft", root + "/hard"] {
      let error = #expect(throws: TokenizerError.self) {
        try Corpus.plain(train: [other], test: [file])
      }
      guard case .duplicate = error else {
        Issue.record("\(other): \(String(describing: error))")
        continue
      }
    }
    try FileManager.default.copyItem(atPath: file, toPath: root + "/copy")
    #expect(try Corpus.plain(train: [root + "/copy"], test: [file]).files.count == 2)
  }

  @Test func equalNamesInASplitAreToldApart() throws {
    let folder = try TemporaryFolder()
    for name in ["x/a.txt", "y/a.txt.gz", "y/b", "z/deep/a.txt", "z/c", "z/c.gz", "v/b"] {
      try folder.write("a\n", to: name)
    }
    let root = folder.path
    let corpus = try Corpus.plain(
      train: [root + "/x/a.txt", root + "/y", root + "/z/deep/a.txt", root + "/z/c"],
      valid: [root + "/v/b"])
    #expect(corpus.files.map(\.name) == ["x/a.txt", "y/a.txt", "b", "deep/a.txt", "c", "b"])
    let forms = try Corpus.plain(train: [root + "/z"])
    #expect(forms.files.map(\.name) == ["c", "c.gz", "deep/a.txt"])
  }
}
