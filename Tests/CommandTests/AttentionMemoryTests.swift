import Bench
import Foundation
import Testing

/// No attention keeps a number for every pair of positions.
@Suite(.serialized) struct AttentionMemoryTests {
  @Test(arguments: [
    "softmax", "hierarchical", "hierarchical:query=fine", "yoso:estimate=expectation",
    "yoso:estimate=sampled", "yoso:estimate=hybrid", "combiner:pattern=fixed",
    "combiner:pattern=rowmajor", "combiner:pattern=logsparse", "combiner:pattern=vertical",
    "combiner:pattern=mixture",
  ])
  func memoryIsNotQuadraticInTheLength(attention: String) throws {
    let length = 16_384
    let tests = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
    let outcome = try Child(
      tests.deletingLastPathComponent().appendingPathComponent("lm-bench").path,
      [
        "attention", "--attention", attention, "--lengths", "\(length)", "--heads", "1",
        "--head-width", "8", "--rounds", "1", "--threads", "1",
      ]
    ).run()
    #expect(outcome.status == 0)
    // A gigabyte for one float a pair, half of that for the causal half; the tensors have 6 MB.
    #expect(outcome.peakBytes < length * length, "\(outcome.peakBytes) bytes")
  }
}
