import ArgumentParser
import Backends
import CommandSupport
import Deterministic
import Eval
import Tensor

/// How much is computed at a time; no result depends on it.
struct WorkOptions: ParsableArguments {
  /// As the configuration of a run allows.
  static let mostTokens = 1 << 26

  @Option(
    help: "Threads; results do not depend on them (all processors that this process may use).")
  var threads: Int?

  @Option(
    help: ArgumentHelp(
      "cpu, cuda (the first card), cuda:N, or auto: a card if there is one that works.",
      valueName: "device"),
    completion: .list(["cpu", "cuda", "auto"]))
  var device = "cpu"

  @Option(
    help: ArgumentHelp(
      "What products read: float32, or bfloat16, which rounds (faster on a card and on some processors).",
      valueName: "precision"))
  var precision = Precision.float32

  @Flag(help: "List the devices of this machine, then stop.")
  var listDevices = false

  @Option(help: "Tokens scored at a time; bounds memory and changes nothing else.")
  var batchTokens = Evaluator.defaultPositions

  func check() throws {
    if listDevices { throw CleanExit.message(Backend.listing) }
    guard (1...Self.mostTokens).contains(batchTokens) else {
      throw ValidationError("--batch-tokens is \(batchTokens), expected 1 to \(Self.mostTokens)")
    }
  }

  /// Kernels of the device.
  func kernels() throws(DeviceError) -> any Kernels {
    let kernels = try Backend.named(device, localRank: Ranks.localRank)
      .makeKernels(precision) { LMEval.note("note: \($0)") }
    if precision != .float32 {
      LMEval.note("note: scored with products in \(precision.rawValue); float32 is to be quoted")
    }
    return kernels
  }

  /// Sets the number of threads of this process.
  func setThreads() {
    Parallel.threads = ThreadCount.resolve(threads, command: LMEval.name)
  }
}

extension Precision: ExpressibleByArgument {
  package init?(argument: String) { self.init(named: argument) }
}
