import Foundation
import Storage
import TestSupport
import Testing

/// Models for other programs; `scripts/peers/check-interop.sh` opens them with these.
@Suite(.serialized) struct ExportCommandTests {
  private static func succeed(_ name: String, _ arguments: [String]) throws -> String {
    let outcome = try runProgram(name, arguments)
    try #require(outcome.status == 0, "\(name) \(arguments): \(outcome.errors)")
    return outcome.output
  }

  private static func refuse(_ arguments: [String], saying text: String) throws {
    let outcome = try runProgram("lm-eval", arguments)
    #expect(outcome.status == 1 || outcome.status == 64 || outcome.status == 2)
    #expect(outcome.errors.contains(text), "\(outcome.errors)")
  }

  /// Refuses in one sentence, without usage, and leaves every file as it is.
  private static func keep(
    _ arguments: [String], saying text: String, in folder: TemporaryFolder, _ name: String
  ) throws {
    let before =
      try Files.isDirectory(folder.path + "/" + name)
      ? folder.contents(of: name) : [name: Files.contents(of: folder.path + "/" + name)]
    let outcome = try runProgram("lm-eval", arguments)
    #expect(outcome.status == 1 && outcome.output.isEmpty, "\(outcome)")
    #expect(outcome.errors.contains(text), "\(outcome.errors)")
    #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
    let after =
      try Files.isDirectory(folder.path + "/" + name)
      ? folder.contents(of: name) : [name: Files.contents(of: folder.path + "/" + name)]
    #expect(before == after, "\(arguments)")
  }

  /// Trains a few steps.
  private static func train(_ folder: TemporaryFolder, _ name: String, _ options: [String]) throws
    -> String
  {
    let run = folder.path + "/" + name
    _ = try succeed(
      "lm-train",
      [
        "--data", folder.path + "/data", "--output", run, "--layers", "2", "--width", "16",
        "--heads", "2", "--hidden", "24", "--steps", "20", "--batch-tokens", "200", "--rate",
        "0.01", "--warmup", "5", "--threads", "1",
      ] + options)
    return run
  }

  private static func perplexity(_ checkpoint: String, _ text: String) throws -> Double {
    let output = try succeed(
      "lm-eval", ["perplexity", "--checkpoint", checkpoint, "--text", text, "--json"])
    let object = try #require(
      JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any])
    return try #require(object["word_perplexity"] as? Double)
  }

  @Test func foldersOfSixteenBitsAndGGUFAreWritten() throws {
    let folder = try TemporaryFolder()
    let lines = (0..<600).map { "the \($0 % 7) kings of \($0 % 11) saw him \($0 % 3) times" }
    let text = try folder.write(lines.joined(separator: "\n") + "\n", to: "text.txt")
    _ = try Self.succeed(
      "lm-tokenize",
      ["--train", text, "--vocab-size", "290", "--model-type", "bpe"]
        + ["--output", folder.path + "/data"])
    let softmax = try Self.train(folder, "softmax", [])
    let other = try Self.train(
      folder, "other", ["--attention", "hierarchical:blockSize=4", "--bigram-rows", "50"])
    for (name, run) in [("softmax", softmax), ("other", other)] {
      let whole = try Self.perplexity(run, text)
      for format in ["bf16", "fp16"] {
        let target = "\(folder.path)/\(name)-\(format)"
        // Both spellings.
        let arguments =
          format == "bf16"
          ? ["export", format, "--checkpoint", run, "--output", target]
          : ["--export", format, "--checkpoint", run, "--output", target]
        #expect(try Self.succeed("lm-eval", arguments).contains("from_pretrained"))
        let found = try Self.perplexity(target, text)
        #expect(abs(found / whole - 1) < (format == "bf16" ? 2e-2 : 2e-3) && found != whole)
        let size = try Files.size(of: target + "/model.safetensors")
        let step = try #require(try Files.entries(of: run).first { $0.hasPrefix("step-") })
        let wide = try Files.size(of: "\(run)/\(step)/model.safetensors")
        #expect(2 * size < wide + 10_000)
        let names = Set(try Files.entries(of: target))
        #expect(!names.contains("optimizer.safetensors") && names.contains("tokenizer.json"))
        #expect(names.contains("decoder.py") == (name == "other"))
        let base = "\(name)-\(format)"
        try Self.keep(
          arguments, saying: "\(target) exists already; choose another --output", in: folder, base)
        let again = ["export", format, "--checkpoint", run, "--output", target, "--overwrite"]
        let first = try folder.contents(of: base)
        _ = try Self.succeed("lm-eval", again)
        #expect(try folder.contents(of: base) == first)
        // Nothing but an export is replaced, and not the model that is read.
        try Self.keep(
          ["export", format, "--checkpoint", target, "--output", target, "--overwrite"],
          saying: "it is the model that is read", in: folder, base)
        try folder.write("kept", to: "\(base)/notes.txt")
        try Self.keep(again, saying: "it holds notes.txt", in: folder, base)
      }
    }
    let file = folder.path + "/softmax.gguf"
    let export = ["export", "gguf", "--output", file, "--checkpoint"]
    #expect(try Self.succeed("lm-eval", export + [softmax]).contains("llama.cpp"))
    let bytes = try Files.contents(of: file)
    #expect(
      bytes.starts(with: Array("GGUF".utf8) + [3, 0, 0, 0, 20, 0, 0, 0]) && bytes.count % 32 == 0)
    try Self.keep(
      export + [softmax], saying: "\(file) exists already; choose another --output", in: folder,
      "softmax.gguf")
    _ = try Self.succeed("lm-eval", export + [softmax, "--overwrite"])
    #expect(try Files.contents(of: file) == bytes)
    // Nothing but an export is replaced: no other file, no folder, no checkpoint, no file of a run.
    try Self.keep(
      ["export", "gguf", "--checkpoint", softmax, "--output", text, "--overwrite"],
      saying: "it is no GGUF file", in: folder, "text.txt")
    try Self.keep(
      ["export", "bf16", "--checkpoint", softmax, "--output", file, "--overwrite"],
      saying: "it is no folder", in: folder, "softmax.gguf")
    let step = try #require(try Files.entries(of: softmax).first { $0.hasPrefix("step-") })
    try Self.keep(
      ["export", "bf16", "--checkpoint", softmax, "--output", softmax + "/" + step, "--overwrite"],
      saying: "which no export has", in: folder, "softmax/" + step)
    try Self.refuse(
      ["export", "gguf", "--checkpoint", softmax, "--output", folder.path], saying: folder.path)
    try Self.refuse(
      ["export", "gguf", "--checkpoint", softmax, "--output", softmax + "/config.json"],
      saying: "written over a file of a training run")
    let fresh = ["export", "gguf", "--output", folder.path + "/fresh.gguf", "--checkpoint"]
    try Self.refuse(fresh + [other], saying: "found hierarchical attention")
    try Self.refuse(fresh + [folder.path + "/none"], saying: "none is neither a run")
    try Self.refuse(
      ["export", "int4", "--checkpoint", softmax, "--output", file], saying: "bf16")
    try Self.refuse(
      ["--export", "bf16", "--checkpoint", softmax], saying: "--checkpoint RUN and --output PATH")
  }
}
