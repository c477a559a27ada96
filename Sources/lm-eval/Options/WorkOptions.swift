import ArgumentParser
import Backends
import CommandSupport
import Deterministic
import Eval
import Tensor

/// How much is computed at a time; no result depends on it.
struct WorkOptions: ParsableArguments {
  /// As the configuration of a run allows.
  static let mostPieces = 1 << 26

  @Option(
    help: "Threads; results do not depend on them (all processors that this process may use).")
  var threads: Int?

  @Option(help: ArgumentHelp("Device.", visibility: .hidden))
  var device = "cpu"

  @Option(help: "Pieces scored at a time; bounds memory and changes nothing else.")
  var batchPieces = Evaluator.defaultPositions

  func check() throws {
    guard (1...Self.mostPieces).contains(batchPieces) else {
      throw ValidationError("--batch-pieces is \(batchPieces), expected 1 to \(Self.mostPieces)")
    }
  }

  /// Kernels of the device.
  func kernels() throws(DeviceError) -> any Kernels {
    try Backend.named(device).makeKernels()
  }

  /// Sets the number of threads of this process.
  func setThreads() {
    Parallel.threads = ThreadCount.resolve(threads, command: LMEval.name)
  }
}
