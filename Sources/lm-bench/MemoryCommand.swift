import ArgumentParser
import Bench
import CommandSupport
import Foundation
import Model
import Storage

/// Memory of whole training runs beside what `lm-train --dry-run` says of them.
struct MemoryCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "memory", abstract: "Compare a training run's peak memory with its plan.",
    discussion: """
      Runs lm-train beside this program for a few steps and one validation, for
      every attention, and compares its largest resident memory with the plan of
      --dry-run. What follows -- goes to lm-train as it is.

      EXAMPLE

        lm-bench memory --data data/1bw -- --preset h1d-53m --batch-tokens 4096
      """)

  @Option(help: "Folder of shards made by lm-tokenize.") var data: String
  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Attentions as lm-train takes them (all kinds).", valueName: "kind"))
  var attention: [String] = AttentionKind.allCases.map(\.rawValue)
  @Option(help: "Steps of each run.") var steps = 3
  @Flag(help: "Print JSON.") var json = false
  @Argument(parsing: .postTerminator, help: "Options of lm-train.") var options: [String] = []

  /// What of `lm-train --dry-run --json` is read.
  private struct Plan: Decodable {
    let parameters: Int
    let bytes: Int
    let parameterBytes: Int
    let activationBytes: Int
  }

  private struct Figures: Encodable {
    let attention: String
    let plannedBytes: Int
    let peakBytes: Int
    let ratio: Double
    /// Peak less the planned activations, kernels, shards and program, for every parameter.
    let bytesPerParameter: Double
  }

  func validate() throws {
    guard steps >= 1 else { throw ValidationError("--steps is \(steps), expected 1 or more") }
  }

  func run() throws {
    let folder = NSTemporaryDirectory() + "lm-bench-\(ProcessInfo.processInfo.processIdentifier)"
    try Files.createDirectory(folder)
    defer { try? Files.remove(folder) }
    let rows = try attention.enumerated().map { index, attention in
      try measure(attention, run: folder + "/run-\(index)")
    }
    if json {
      print(String(decoding: try JSONFile.encode(rows), as: UTF8.self), terminator: "")
      return
    }
    print(
      Format.table(
        [["attention", "planned", "peak", "peak of the plan", "bytes a parameter"]]
          + rows.map {
            [
              $0.attention, Format.bytes($0.plannedBytes), Format.bytes($0.peakBytes),
              Format.decimal(100 * $0.ratio, 1) + " %", Format.decimal($0.bytesPerParameter, 1),
            ]
          }))
    print(
      "memory          \(Format.bytes(Int(clamping: ProcessInfo.processInfo.physicalMemory)))"
        + " of this machine")
  }

  private func measure(_ attention: String, run: String) throws -> Figures {
    let common =
      ["--data", data, "--output", run, "--attention", attention, "--steps", "\(steps)"] + options
    let dry = try Programs.child("lm-train", common + ["--dry-run", "--json"]).run()
    guard dry.status == 0 else { throw CommandError("lm-train refuses \(attention)") }
    let plan = try JSONFile.decode(Plan.self, from: dry.output, path: "lm-train --dry-run --json")
    let done = try Programs.child("lm-train", common).run()
    guard done.status == 0 else { throw CommandError("lm-train has failed on \(attention)") }
    try Files.remove(run)
    let rest = plan.bytes - plan.parameterBytes
    return Figures(
      attention: attention, plannedBytes: plan.bytes, peakBytes: done.peakBytes,
      ratio: Double(done.peakBytes) / Double(plan.bytes),
      bytesPerParameter: Double(done.peakBytes - rest) / Double(plan.parameters))
  }
}
