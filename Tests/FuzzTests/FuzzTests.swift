import Foundation
import FuzzTargets
import Testing

/// Seeded mutations of valid files through every reader; a trap anywhere ends the tests.
///
/// `FUZZ_RUNS` sets the executions of each target (2,000), `FUZZ_SEED` what is drawn (1), and
/// `FUZZ_TARGETS` names the targets, separated by commas (all); `scripts/sanitizers/fuzz.sh` runs
/// the same targets under libFuzzer, which is guided by what the code does.
@Suite(.serialized) struct FuzzTests {
  private static let environment = ProcessInfo.processInfo.environment
  private static let runs = environment["FUZZ_RUNS"].flatMap { Int($0) } ?? 2_000
  private static let seed = environment["FUZZ_SEED"].flatMap { UInt64($0) } ?? 1
  private static let targets = FuzzTarget.allCases.filter {
    environment["FUZZ_TARGETS"]?.split(separator: ",").contains(Substring($0.rawValue)) ?? true
  }

  @Test(arguments: targets) func survivesAnyBytes(target: FuzzTarget) throws {
    let inputs = try FuzzSeeds.inputs(of: target)
    for input in inputs {
      // Every input is valid to begin with, or mutations of it would not get far.
      if target != .attention && target != .prompt {
        try input.withUnsafeBytes { try target.run($0) }
      }
    }
    var mutator = Mutator(
      seed: Self.seed, UInt64(target.rawValue.utf8.reduce(0) { $0 * 31 + Int($1) }))
    var accepted = 0
    for _ in 0..<Self.runs {
      let bytes = mutator.mutate(inputs)
      if (try? bytes.withUnsafeBytes { try target.run($0) }) != nil { accepted += 1 }
    }
    // Neither everything nor nothing gets through: the reader reads.
    #expect(accepted > 0 && accepted < Self.runs, "\(accepted) of \(Self.runs) accepted")
  }
}
