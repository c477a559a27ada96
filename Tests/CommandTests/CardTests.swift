import Foundation
import TestSupport
import Testing

/// The commands on a card that is pretended: libraries that are opened at run time, kernels that the
/// emulator runs, products by plain loops.
@Suite(.serialized) struct CardTests {
  private let folder: TemporaryFolder
  private let sandbox: CUDASandbox
  private let data: String

  init() throws {
    folder = try TemporaryFolder()
    sandbox = try CUDASandbox()
    data = folder.path + "/data"
    let words = ["ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine"]
    let lines: [String] = (0..<300).map { (line: Int) -> String in
      let chosen: [String] = (0...line % 13).map { (place: Int) -> String in
        words[(line * 7 + place * (line + 3)) % 10]
      }
      return chosen.joined(separator: " ")
    }
    let text = try folder.write(lines.joined(separator: "\n") + "\n", to: "text.txt")
    let made = try runProgram(
      "lm-tokenize",
      [
        "--train", text, "--split-valid", "0.1", "--split-test", "0.1", "--vocab-size", "280",
        "--model-type", "bpe", "--output", data,
      ])
    try #require(made.status == 0, "\(made.errors)")
  }

  /// Runs a line of a shell on the machine that is pretended.
  private func run(_ line: String, told instructions: String = "") throws -> ProgramOutcome {
    try runProgram(
      "", [],
      shell:
        "export LM_CUDA_LIBRARIES='\(sandbox.libraries)' XDG_CACHE_HOME='\(sandbox.cachePath)' "
        + "FAKE_CUDA='\(instructions)'; " + line)
  }

  private func train(_ run: String, device: String, steps: Int = 8) -> String {
    "lm-train --data '\(data)' --output '\(folder.path)/\(run)' --device \(device) --layers 2 "
      + "--width 16 --heads 2 --hidden 24 --steps \(steps) --batch-tokens 300 "
      + "--micro-batch-tokens 150 --rate 0.01 --warmup 2 --dropout 0.1 --log-every 1 "
      + "--validate-every 4 --checkpoint-every 4 --attention window:window=6"
  }

  private func succeed(_ line: String, told instructions: String = "") throws {
    let outcome = try run(line, told: instructions)
    try #require(outcome.status == 0, "\(line): \(outcome.errors)")
  }

  private func nats(_ run: String) throws -> [Double] {
    try String(contentsOfFile: folder.path + "/\(run)/metrics.jsonl", encoding: .utf8)
      .split(separator: "\n").compactMap { line in
        let fields = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
        return fields?["natsPerToken"] as? Double
      }
  }

  private func weights(_ run: String, step: Int) throws -> Data {
    try Data(
      contentsOf: URL(
        fileURLWithPath: folder.path + "/\(run)/step-0000000\(step)/model.safetensors"))
  }

  /// A whole run: the losses of this processor, the same bits every time, and a checkpoint that goes on
  /// on either.
  @Test func aRunTrainsOnACard() throws {
    try succeed(train("cpu", device: "cpu"))
    try succeed(train("card", device: "cuda"))
    try succeed(train("again", device: "auto"))
    let (cpu, card) = (try nats("cpu"), try nats("card"))
    #expect(cpu.count == 10 && card.count == 10)
    for (a, b) in zip(cpu, card) { #expect(abs(a - b) <= 1e-4 * abs(a), "\(cpu) and \(card)") }
    #expect(try weights("card", step: 8) == weights("again", step: 8))
    #expect(try weights("card", step: 8) != weights("cpu", step: 8))

    for device in ["cpu", "cuda"] {
      let path = "'\(folder.path)/card'"
      try succeed("lm-eval --checkpoint \(path) --data '\(data)' --device \(device)")
      try succeed("lm-sample --checkpoint \(path) --prompt oak --max-tokens 5 --device \(device)")
    }
  }

  /// Figures in bfloat16 are recorded beside those in float32, and every line says which it is.
  @Test func everyFigureNamesItsPrecision() throws {
    let trained = try run(train("run", device: "cuda", steps: 4))
    try #require(trained.status == 0, "\(trained.errors)")
    #expect(trained.output.contains("FLOP/s in matrix products on cuda, in bfloat16; about "))
    #expect(trained.errors.contains("% of peak"))
    let score = "lm-eval --checkpoint '\(folder.path)/run' --data '\(data)' --device cuda --record "
    try succeed(score)
    let table = try run(score + "--precision bfloat16")
    #expect(table.status == 0 && table.output.contains("precision         bfloat16"))
    let line = try run(score + "--precision bfloat16 --paper-line")
    #expect(line.output.contains("products in bfloat16"), "\(line)")
    let plain = try run(score + "--paper-line")
    #expect(plain.status == 0 && !plain.output.contains("products in"), "\(plain)")
    let records = try String(
      contentsOfFile: folder.path + "/run/evaluations.jsonl", encoding: .utf8
    ).split(separator: "\n")
    #expect(records.count == 2)
    #expect(records.count { $0.contains("\"precision\":\"bfloat16\"") } == 1)
  }

  /// One layer is timed on a card, on a batch of sentences or of equal sequences.
  @Test(arguments: ["--lengths 70 --sentences", "--lengths 20 --batch 3"])
  func attentionsAreTimedOnACard(shape: String) throws {
    let timed = try run(
      "lm-bench attention --device cuda --precision bfloat16 --rounds 1 --heads 2 --head-width 32 "
        + "--attention hierarchical --json " + shape)
    let rows = try JSONSerialization.jsonObject(with: Data(timed.output.utf8)) as? [[String: Any]]
    let row = try #require(rows?.first, "\(timed.errors)")
    let lengths = try #require(row["sequenceLengths"] as? [Int])
    #expect(lengths.count > 1 && lengths.reduce(0, +) == row["length"] as? Int)
    #expect(
      row["trainingMicroseconds"] as? Double ?? 0 > row["forwardMicroseconds"] as? Double ?? 1)
  }

  /// What was saved before a card is lost is whole, and the run goes on from it.
  @Test func aLostCardLeavesTheLastCheckpoint() throws {
    try succeed(train("whole", device: "cuda"))
    let lost = try run(train("lost", device: "cuda"), told: "cuStreamSynchronize=999@60")
    #expect(lost.status == 1, "\(lost.errors)")
    #expect(lost.errors.contains("error: device cuda: the card is lost (CUDA_ERROR_999"))
    let resumed =
      "lm-train --data '\(data)' --output '\(folder.path)/lost' --device cuda --resume"
    try succeed(resumed)
    #expect(try weights("lost", step: 8) == weights("whole", step: 8))
  }

  /// What `--dry-run` names is what a run takes of a card, within three hundredths; the workspace of
  /// products, which a card has given before, is no part of it.
  @Test(arguments: [
    ("softmax", "bfloat16"), ("hierarchical", "float32"), ("yoso", "bfloat16"), ("yoso", "float32"),
    ("combiner", "bfloat16"), ("combiner:pattern=rowmajor", "float32"),
  ])
  func aRunTakesWhatWasPlanned(attention: String, precision: String) throws {
    let report = folder.path + "/peak"
    let line =
      "lm-train --data '\(data)' --device cuda --precision \(precision) --attention \(attention) "
      + "--layers 2 --width 64 --heads 2 --hidden 96 --steps 2 --batch-tokens 700 "
      + "--validate-every 2 --validation-sequences 20 --checkpoint-every 0"
    let planned = try run(line + " --dry-run --json")
    let plan = try #require(
      try JSONSerialization.jsonObject(with: Data(planned.output.utf8)) as? [String: Any],
      "\(planned.errors)")
    let bytes = ["parameterBytes", "activationBytes", "workingBytes"].compactMap {
      plan[$0] as? Int
    }
    try succeed(line + " --output '\(folder.path)/planned'", told: "report=\(report)")
    let peak = try #require(
      Int(
        String(contentsOfFile: report, encoding: .utf8)
          .trimmingCharacters(in: .whitespacesAndNewlines)))
    let workspace = 32 << 20
    let share = Double(peak - workspace) / Double(bytes.reduce(0, +))
    #expect(bytes.count == 3 && abs(share - 1) < 0.03, "\(share) of \(plan)")
  }

  @Test func aFullCardSaysWhichOptionHelps() throws {
    let full = try run(train("full", device: "cuda"), told: "memory=34000000")
    #expect(full.status == 1)
    #expect(
      full.errors.contains("device cuda has no ") && full.errors.contains("--micro-batch-tokens"))
  }

  @Test func withoutACardOneSentenceSaysSo() throws {
    for line in [
      train("none", device: "cuda"), "lm-eval --checkpoint /none --data /none --device cuda",
      "lm-sample --checkpoint /none --device cuda",
    ] {
      let outcome = try run(line, told: "cards=0")
      #expect(outcome.status == 1 && outcome.output.isEmpty)
      #expect(outcome.errors.contains("libcuda.so.1 finds no card"), "\(outcome.errors)")
      #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
    }
    // Where the choice is free, a card that does not work is named and left alone.
    let free = try run(train("free", device: "auto", steps: 1), told: "cublasLtCreate=1")
    #expect(free.status == 0 && free.errors.contains("note: Card of nobody 0 is not used: device"))
    let listed = try run("lm-eval --list-devices", told: "cards=2 capability=80")
    #expect(listed.output.contains("cuda:1   Card of nobody 1, compute capability 8.0, 8192 MiB"))
  }

  /// Operations against their definitions in Float64; `lm-bench device` without a filter does all.
  @Test(arguments: ["product", "decoding"]) func operationsOfACardHold(filter: String) throws {
    let outcome = try run("lm-bench device --device cuda --filter \(filter)")
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(outcome.output.contains("checks of cuda, ") && !outcome.output.contains("FAILS"))
  }

  /// Who computes on this processor opens nothing of a card.
  @Test func theProcessorNeedsNoLibraryOfACard() throws {
    func opened(_ line: String) throws -> Bool {
      let trace = folder.path + "/trace"
      try succeed("mkdir -p '\(trace)'; LD_DEBUG=files LD_DEBUG_OUTPUT='\(trace)/log' " + line)
      let found = try run(
        "grep -l -E 'libcuda|libnvrtc|libcublas' '\(trace)'/log.*; rm -r '\(trace)'")
      return !found.output.isEmpty
    }
    #expect(try !opened(train("plain", device: "cpu", steps: 2)))
    let path = "'\(folder.path)/plain'"
    #expect(try !opened("lm-eval --checkpoint \(path) --data '\(data)'"))
    #expect(try !opened("lm-sample --checkpoint \(path) --prompt oak --max-tokens 5"))
    #expect(try opened("lm-sample --checkpoint \(path) --prompt oak --max-tokens 5 --device cuda"))
  }
}
