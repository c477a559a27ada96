import Foundation
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#endif

/// No attention keeps a number for every pair of positions.
@Suite(.serialized) struct AttentionMemoryTests {
  /// Largest resident memory of any program run so far, in bytes.
  private static var peak: Int {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_CHILDREN.rawValue), &usage)
    return usage.ru_maxrss * 1_024
  }

  @Test(arguments: [
    "softmax", "hierarchical", "hierarchical:query=fine", "yoso:estimate=expectation",
    "yoso:estimate=sampled", "yoso:estimate=hybrid", "combiner:pattern=fixed",
    "combiner:pattern=rowmajor", "combiner:pattern=logsparse", "combiner:pattern=vertical",
    "combiner:pattern=mixture",
  ])
  func memoryIsNotQuadraticInTheLength(attention: String) throws {
    let length = 16_384
    let outcome = try runProgram(
      "lm-bench",
      [
        "attention", "--attention", attention, "--lengths", "\(length)", "--heads", "1",
        "--head-width", "8", "--rounds", "1", "--threads", "1",
      ])
    #expect(outcome.status == 0, "\(outcome.errors)")
    // A gigabyte for one float a pair, half of that for the causal half; the tensors have 6 MB.
    #expect(Self.peak < length * length, "\(Self.peak) bytes")
  }
}
