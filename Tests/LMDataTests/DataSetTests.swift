import Foundation
import LMData
import Storage
import TestSupport
import Testing

@Suite struct DataSetTests {
  private func makeSet(_ folder: TemporaryFolder) throws -> String {
    let directory = folder.path + "/set"
    try writeDataSet([makeSentences(makeLengths(20)), [], makeSentences([4])], to: directory)
    return directory
  }

  @Test func aWholeSetOpensAndVerifies() throws {
    let folder = try TemporaryFolder()
    let set = try DataSet(directory: makeSet(folder))
    try set.verify()
    #expect(try set.split("train").count == 3)
    #expect(set.manifest.totals(of: "train").sentences == 21)
    #expect(set.manifest.totals(of: "train").tokens == makeLengths(20).reduce(4, +))
    #expect(set.manifest.totals(of: "nothing") == Totals())
    #expect(set.fingerprint.count == 64)
  }

  @Test func aFolderWithoutManifestIsNoDataSet() throws {
    let folder = try TemporaryFolder()
    let directory = try makeSet(folder)
    try Files.remove(directory + "/manifest.json")
    let error = #expect(throws: DataSetError.self) { try DataSet(directory: directory) }
    #expect(error == .notADataSet(directory: directory))
    #expect(error?.description.contains("lm-tokenize") == true)
  }

  @Test func anUnknownSplitListsThoseThereAre() throws {
    let folder = try TemporaryFolder()
    let set = try DataSet(directory: makeSet(folder))
    let error = #expect(throws: DataSetError.self) { try set.split("test") }
    #expect(error?.description.contains("train") == true)
  }

  @Test func aCutManifestIsRefused() throws {
    let folder = try TemporaryFolder()
    let directory = try makeSet(folder)
    let path = directory + "/manifest.json"
    let bytes = try Files.contents(of: path)
    for length in stride(from: 0, to: bytes.count - 2, by: 7) {
      try Array(bytes[..<length]).write(plainlyTo: path)
      let error = #expect(throws: DataSetError.self) { try DataSet(directory: directory) }
      #expect(error?.description.contains("manifest.json") == true)
    }
  }

  @Test func anotherVersionIsRefusedWhateverElseItHolds() throws {
    let folder = try TemporaryFolder()
    let directory = try makeSet(folder)
    try Array("{\"formatVersion\": 3, \"new\": 1}".utf8).write(
      plainlyTo: directory + "/manifest.json")
    let error = #expect(throws: DataSetError.self) { try DataSet(directory: directory) }
    #expect(
      error
        == .formatVersion(path: directory + "/manifest.json", expected: 2, found: 3))
  }

  @Test(arguments: ["../x", "/etc/passwd", "a/../../x", "", ".", "a//b", "a/./b", "a\0b", ".."])
  func filesOutsideTheFolderAreRefused(file: String) throws {
    let folder = try TemporaryFolder()
    let directory = try makeSet(folder)
    try edit(directory) { $0.splits["train"]?[0].file = file }
    let error = #expect(throws: DataSetError.self) { try DataSet(directory: directory) }
    #expect(error == .outsideFolder(manifest: directory + "/manifest.json", file: file))
    try edit(directory) {
      $0.splits["train"]?[0].file = "train-0.zst"
      $0.tokenizer.file = file
    }
    #expect(throws: DataSetError.self) { try DataSet(directory: directory) }
  }

  @Test func numbersThatCannotBeAreRefused() throws {
    let edits: [@Sendable (inout Manifest) -> Void] = [
      { $0.splits["train"]?[0].tokens = -1 },
      { $0.splits["train"]?[0].sentences = Int.max },
      { $0.tokenizer.vocabularySize = 0 },
      { $0.special.eos = 1000 },
      { $0.special.bos = -1 },
    ]
    for change in edits {
      let folder = try TemporaryFolder()
      let directory = try makeSet(folder)
      try edit(directory, change)
      let error = #expect(throws: DataSetError.self) { try DataSet(directory: directory) }
      guard case .invalid = error else {
        Issue.record("\(String(describing: error))")
        continue
      }
    }
  }

  @Test func missingShortAndSwappedFilesAreRefused() throws {
    let folder = try TemporaryFolder()
    let directory = try makeSet(folder)
    let shard = directory + "/train-0.zst"
    let bytes = try Files.contents(of: shard)
    try Array(bytes.dropLast()).write(plainlyTo: shard)
    expectRefusal(of: directory, naming: "train-0.zst")
    try Files.remove(shard)
    expectRefusal(of: directory, naming: "train-0.zst")
    try bytes.write(plainlyTo: shard)
    _ = try DataSet(directory: directory)
    try [UInt8]([9, 9, 9]).write(plainlyTo: directory + "/tokenizer.model")
    expectRefusal(of: directory, naming: "tokenizer.model")
  }

  private func expectRefusal(of directory: String, naming file: String) {
    let error = #expect(throws: DataSetError.self) { try DataSet(directory: directory) }
    #expect(error?.description.contains(file) == true, "\(String(describing: error))")
  }

  private func edit(_ directory: String, _ change: (inout Manifest) -> Void) throws {
    var manifest = try JSONFile.read(Manifest.self, from: directory + "/manifest.json")
    change(&manifest)
    try manifest.write(to: directory)
  }
}
