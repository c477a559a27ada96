import Foundation
import LMData
import Storage
import Synchronization
import TestSupport
import Testing
import Tokenize

/// Only data sets are ever replaced, and none that holds what is read.
@Suite struct OutputFolderTests {
  private let folder: TemporaryFolder
  private let text: String
  private let model: String

  init() throws {
    folder = try TemporaryFolder()
    text = try folder.write("the an the an\nthe the\n", to: "text/a.txt")
    model = try folder.write(try Samples.model(.bpe).serialized, to: "m.model")
  }

  private func builder(
    _ output: String = "out", text: String? = nil, model: String? = nil, overwrite: Bool = true
  ) throws -> DataSetBuilder {
    var builder = DataSetBuilder(
      corpus: try Corpus.plain(train: [text ?? self.text]), output: folder.path + "/" + output,
      tokenizer: .file(model ?? self.model))
    builder.overwrite = overwrite
    return builder
  }

  /// All files below the folder of the test, by path.
  private func everything() throws -> [String: [UInt8]] {
    var found: [String: [UInt8]] = [:]
    func add(_ name: String) throws {
      let path = folder.path + "/" + name
      if Files.isRegularFile(path) {
        found[name] = try Files.contents(of: path)
      } else if let link = PathTrail.link(path) {
        found[name] = Array("-> \(link)".utf8)
      } else {
        found[name + "/"] = []
        for entry in try Files.entries(of: path) { try add(name + "/" + entry) }
      }
    }
    for entry in try Files.entries(of: folder.path) { try add(entry) }
    return found
  }

  /// Checks that a build is refused with nothing changed, whether or not it may replace.
  private func expectRefusal(
    _ output: String = "out", text: String? = nil, model: String? = nil,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let before = try everything()
    for overwrite in [true, false] {
      #expect(sourceLocation: sourceLocation) {
        try builder(output, text: text, model: model, overwrite: overwrite).build()
      } throws: {
        // A way out that is none would only lead people there.
        !"\($0)".contains("--overwrite")
      }
      #expect(try everything() == before, sourceLocation: sourceLocation)
    }
  }

  @Test func aFolderThatIsNoDataSetIsNeverReplaced() throws {
    try folder.write("precious", to: "papers/thesis.txt")
    try expectRefusal("papers")
    try folder.write("{\"name\": \"other\"}", to: "extension/manifest.json")
    try expectRefusal("extension")
    try folder.write("{}", to: "run/config.json")
    try folder.write("step-1\n", to: "run/latest")
    try expectRefusal("run")
    try expectRefusal("run/data")
    try expectRefusal("run/deep/er/data")
    try folder.write("x", to: "file")
    try expectRefusal("file")
    try FileManager.default.createSymbolicLink(
      atPath: folder.path + "/dangling", withDestinationPath: "nowhere")
    try expectRefusal("dangling")
    for name in ["text/.", "text/..", "."] { try expectRefusal(name) }
  }

  @Test func onlyTheFilesOfTheManifestMayStandThere() throws {
    _ = try builder(overwrite: false).build()
    try expectRefusal("out/inner")
    try FileManager.default.createSymbolicLink(
      atPath: folder.path + "/link", withDestinationPath: "out")
    try expectRefusal("link")
    // As a killed process leaves it.
    try folder.write("half", to: "out/.manifest.json.partial-\(Int32.max)-3")
    _ = try builder().build()
    #expect(try Files.entries(of: folder.path + "/out").count == 4)
    for stranger in ["notes.txt", ".hidden", "deep/notes.txt"] {
      try folder.write("mine", to: "out/" + stranger)
      try expectRefusal()
      try Files.remove(folder.path + "/out/" + (stranger.split(separator: "/").first ?? ""))
    }
    #expect {
      try builder(overwrite: false).build()
    } throws: { "\($0)".contains("--overwrite") }
    try folder.write("the the the\n", to: "text/a.txt")
    let manifest = try builder().build()
    #expect(manifest.totals(of: "train").words == 3)
    try DataSet(directory: folder.path + "/out").verify()
    #expect(try Files.entries(of: folder.path) == ["link", "m.model", "out", "text"])
  }

  @Test func aFolderThatHoldsAnInputIsNeverReplaced() throws {
    _ = try builder(overwrite: false).build()
    let output = folder.path + "/out"
    try expectRefusal(model: output + "/tokenizer.model")
    try FileManager.default.createSymbolicLink(
      atPath: folder.path + "/copy.model", withDestinationPath: "out/tokenizer.model")
    try expectRefusal(model: folder.path + "/copy.model")
    try FileManager.default.linkItem(
      atPath: output + "/tokenizer.model", toPath: folder.path + "/hard.model")
    try expectRefusal(model: folder.path + "/hard.model")
    // The text is elsewhere, but the way to it leads through the folder.
    try Files.remove(folder.path + "/hard.model")
    try FileManager.default.createSymbolicLink(
      atPath: output + "/deep", withDestinationPath: folder.path + "/text")
    try expectRefusal(text: output + "/deep/a.txt")
    try expectRefusal(text: folder.path + "/text/../out/deep/a.txt")
    try Files.remove(output + "/deep")
    var builder = try builder()
    builder.vocabulary = try WordList(path: try folder.write("the\n", to: "out/vocabulary.txt"))
    #expect(throws: TokenizerError.self) { try builder.build() }
    #expect(Files.exists(output + "/vocabulary.txt"))
  }

  @Test func anEmptyFolderIsFilled() throws {
    for overwrite in [false, true] {
      try Files.remove(folder.path + "/out")
      try Files.createDirectory(folder.path + "/out")
      _ = try builder(overwrite: overwrite).build()
      try DataSet(directory: folder.path + "/out").verify()
    }
  }

  @Test func whatComesIntoTheOldFolderMeanwhileIsKept() throws {
    for isEmpty in [false, true] {
      try Files.remove(folder.path + "/out")
      if isEmpty {
        try Files.createDirectory(folder.path + "/out")
      } else {
        _ = try builder(overwrite: false).build()
      }
      let before = try everything()
      let builder = try builder()
      let notes = folder.path + "/out/notes.txt"
      #expect(throws: TokenizerError.self) {
        try builder.build(report: { phase in
          guard case .encoding = phase else { return }
          _ = FileManager.default.createFile(atPath: notes, contents: Data("new".utf8))
        })
      }
      #expect(
        try everything()
          == before.merging(["out/notes.txt": Array("new".utf8)]) { _, new in new })
    }
  }

  @Test func aWordListReplacesNothingButOne() throws {
    let list = try folder.write("the\t4\nan\t2\n", to: "list.txt")
    let corpus = try Corpus.plain(train: [text])
    let counts = try WordCounts.count(corpus, minimum: 1, threads: 1)
    try WordListFile.check(list, inputs: [text])
    try WordListFile.check(folder.path + "/new.txt", inputs: [text])
    try WordListFile.check(try folder.write("", to: "empty.txt"), inputs: [text])
    try counts.write(to: list)
    try WordListFile.check(list, inputs: [text])
    try FileManager.default.createSymbolicLink(
      atPath: folder.path + "/link.txt", withDestinationPath: "list.txt")
    for path in [
      text, try folder.write("my\nwords\n", to: "own.txt"),
      try folder.write("a\t1\nb\t2", to: "cut.txt"), folder.path, folder.path + "/link.txt",
      "/dev/null",
    ] {
      #expect(throws: TokenizerError.self, "\(path)") {
        try WordListFile.check(path, inputs: [text])
      }
    }
    #expect(throws: TokenizerError.self) { try WordListFile.check(list, inputs: [list]) }
  }
}
