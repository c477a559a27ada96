import Foundation
import LMData
import Model
import Storage
import TestSupport
import Testing
import Train

/// A run is written neither over nor into what was made for something else, however it is spelled.
@Suite struct RunPlaceTests {
  private static func refused(_ run: String, _ data: String, isResumed: Bool = false) -> Bool {
    do {
      try RunPlace.check(run, data: data, isResumed: isResumed)
      return false
    } catch {
      return error is TrainingError
    }
  }

  @Test func onlyAPlaceOfItsOwnIsTaken() throws {
    let folder = try TemporaryFolder()
    let (data, run) = (folder.path + "/data", folder.path + "/run")
    try TinyDataSet.write(to: data, shards: 1, sentences: 20)
    try folder.write("{}", to: "run/config.json")
    try folder.write("", to: "run/metrics.jsonl")
    try folder.write("{}", to: "run/step-00000002/config.json")
    try folder.write("{}", to: "run/step-00000002/state.json")
    try folder.write("{}", to: "llama/config.json")
    try folder.write("", to: "llama/model.safetensors")
    try folder.write("{}", to: "papers/config.json")
    try Files.createDirectory(folder.path + "/elsewhere")
    for (link, target) in [("toData", "data"), ("toRun", "run"), ("toStep", "run/step-00000002")] {
      try FileManager.default.createSymbolicLink(
        atPath: folder.path + "/" + link, withDestinationPath: folder.path + "/" + target)
    }
    for name in [
      "data", "data/", "data/.", "elsewhere/../data", "toData", "data/new", "data/a/b/c",
      "toData/new",
      "run/step-00000002", "run/step-00000002/new", "toStep", "toStep/new", "run/new", "toRun/new",
      "llama", "llama/new", "data/a/../b",
    ] {
      #expect(Self.refused(folder.path + "/" + name, data), "\(name)")
      // Known by what it is, not by being the one that is trained on.
      #expect(Self.refused(folder.path + "/" + name, folder.path + "/other"), "\(name)")
    }
    for name in ["new", "a/b/c", "elsewhere", "elsewhere/new", "papers", "papers/new", "data2"] {
      #expect(!Self.refused(folder.path + "/" + name, data), "\(name)")
    }
    // A run that is there already is refused by the trainer, and goes on with --resume.
    #expect(!Self.refused(run, data) && !Self.refused(run, data, isResumed: true))
    #expect(!Self.refused(run + "/inner", data, isResumed: true))
    #expect(Self.refused(run + "/step-00000002", data, isResumed: true))
    #expect(Self.refused(data, data, isResumed: true))
  }

  @Test func filesOfOthersAreNotWrittenOver() throws {
    let folder = try TemporaryFolder()
    try TinyDataSet.write(to: folder.path + "/data", shards: 1, sentences: 20)
    try folder.write("{}", to: "run/config.json")
    try folder.write("", to: "run/metrics.jsonl")
    try folder.write("", to: "run/scores.tsv")
    for name in ["config.json", "state.json", "model.safetensors", "tokenizer.model", "SHA256SUMS"]
    {
      try folder.write("", to: "run/step-00000002/" + name)
    }
    let text = try folder.write("a b\n", to: "text.txt")
    try folder.write("", to: "old.tsv")
    try FileManager.default.createSymbolicLink(
      atPath: folder.path + "/toText", withDestinationPath: text)
    try FileManager.default.linkItem(atPath: text, toPath: folder.path + "/sameText")
    try FileManager.default.createSymbolicLink(
      atPath: folder.path + "/toRun", withDestinationPath: folder.path + "/run")
    let check = { (name: String) in
      try OutputFile.check(
        name.hasPrefix("/") ? name : folder.path + "/" + name, option: "--score", inputs: [text])
    }
    for name in [
      "text.txt", "./text.txt", "toText", "sameText", "run/config.json", "run/metrics.jsonl",
      "toRun/config.json", "run/step-00000002/config.json", "run/step-00000002/model.safetensors",
      "run/step-00000002/SHA256SUMS", "data/manifest.json", "data/tokenizer.model",
      "data/train-0.zst", "data/SHA256SUMS",
    ] {
      #expect(throws: (any Error).self, "\(name)") { try check(name) }
    }
    for name in [
      "new.tsv", "old.tsv", "run/scores.tsv", "run/new.tsv", "none/new.tsv", "/dev/null",
    ] {
      #expect(throws: Never.self, "\(name)") { try check(name) }
    }
  }
}
