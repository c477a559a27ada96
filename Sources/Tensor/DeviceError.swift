#if canImport(Glibc)
  import Glibc
#endif

/// What a device could not do.
package enum DeviceError: Error, Equatable, CustomStringConvertible {
  /// Memory that the system or the device refused.
  case outOfMemory(device: String, bytes: Int, held: Int)
  /// Memory that a card refused: bytes that were asked for, that this run has, that are free, and in all.
  case cardIsFull(device: String, bytes: Int, held: Int, free: Int, total: Int)
  /// Something that a back end leaves out, as a noun.
  case unsupported(device: String, what: String)
  /// A fault of the device or its driver, as a sentence.
  case failed(device: String, problem: String)

  package var description: String {
    switch self {
    case .outOfMemory(let device, let bytes, let held):
      let owner = device == "cpu" ? "the system" : "device \(device)"
      return
        "\(owner) refused \(bytes) bytes of memory, beside the \(held) that are held; allow the "
        + "process more, or give it less at a time"
    case .cardIsFull(let device, let bytes, let held, let free, let total):
      return
        "device \(device) has no \(Self.mebibytes(bytes)) more: of its \(Self.mebibytes(total)) this run "
        + "has \(Self.mebibytes(held)), and \(Self.mebibytes(free)) are free; a smaller "
        + "--micro-batch-tokens of lm-train or --batch-tokens of lm-eval needs less"
    case .unsupported(let device, let what):
      return "device \(device) has no \(what); choose another --device"
    case .failed(let device, let problem):
      return "device \(device): \(problem)"
    }
  }

  private static func mebibytes(_ bytes: Int) -> String { "\((bytes + (1 << 20) - 1) >> 20) MiB" }

  /// Ends the program with a sentence, where there is no way back out of the threads of the work.
  package func endProgram() -> Never {
    let sentence = "error: \(self)\n"
    fflush(nil)
    _ = Array(sentence.utf8).withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    _exit(1)
  }
}
