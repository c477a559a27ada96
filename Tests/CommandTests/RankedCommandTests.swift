import Foundation
import Storage
import TestSupport
import Testing

/// Real processes of a real launcher; skipped where Debian's Open MPI is not installed
/// (`scripts/setup.sh mpi`).
@Suite(.serialized) struct RankedCommandTests {
  private static let launcher = "/usr/bin/mpirun.openmpi"
  private static var isInstalled: Bool { Files.exists(launcher) }

  private static func launch(_ count: Int, _ command: String) throws -> ProgramOutcome {
    try runProgram(
      "", [],
      shell: """
        export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
        exec \(launcher) --oversubscribe --bind-to none -n \(count) \(command)
        """)
  }

  private static func tokenize(_ folder: TemporaryFolder) throws {
    let words = ["ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine"]
    let lines: [String] = (0..<600).map { (line: Int) -> String in
      let chosen: [Int] = (0...(line % 17)).map { (place: Int) -> Int in
        (line * 7 + place * place) % 10
      }
      return chosen.map { words[$0] }.joined(separator: " ")
    }
    try folder.write(lines.joined(separator: "\n") + "\n", to: "text")
    let outcome = try runProgram(
      "lm-tokenize",
      [
        "--train", folder.path + "/text", "--split-valid", "0.1", "--vocab-size", "280",
        "--output", folder.path + "/data",
      ])
    try #require(outcome.status == 0, "\(outcome.errors)")
  }

  private static func train(_ folder: TemporaryFolder, _ run: String, _ more: String = "") -> String
  {
    "lm-train --data \(folder.path)/data --output \(folder.path)/\(run) --layers 2 --width 96 "
      + "--heads 4 --hidden 256 --steps 6 --batch-tokens 300 --dropout 0.1 --threads 1 "
      + "--validate-every 3 --gradient-shares 8 " + more
  }

  private static func files(_ folder: TemporaryFolder, _ run: String) throws -> [[UInt8]] {
    try ["model.safetensors", "optimizer.safetensors"].map {
      try Files.contents(of: "\(folder.path)/\(run)/step-00000006/\($0)")
    }
  }

  @Test(.enabled(if: isInstalled)) func twoProcessesTrainWithTheBitsOfOne() throws {
    let folder = try TemporaryFolder()
    try Self.tokenize(folder)
    let one = try runProgram("", [], shell: Self.train(folder, "one"))
    #expect(one.status == 0, "\(one.errors)")
    let two = try Self.launch(2, Self.train(folder, "two"))
    #expect(two.status == 0, "\(two.errors)")
    #expect(two.errors.contains("2 processes"))
    #expect(try Self.files(folder, "two") == Self.files(folder, "one"))
    // Rank 0 alone speaks.
    #expect(two.errors.components(separatedBy: "finished 6 steps").count == 2)
    let score =
      "lm-eval perplexity --checkpoint \(folder.path)/one --data \(folder.path)/data --split valid "
      + "--json"
    let alone = try runProgram("", [], shell: score)
    let together = try Self.launch(2, score + " --batch-tokens 100")
    #expect(alone.status == 0 && together.status == 0, "\(alone.errors)\(together.errors)")
    #expect(together.output == alone.output)
  }

  /// The error of one is told once, and nobody waits for ever.
  @Test(.enabled(if: isInstalled)) func whatFailsEndsAll() throws {
    let folder = try TemporaryFolder()
    try Self.tokenize(folder)
    let few = try Self.launch(2, Self.train(folder, "run", "--gradient-shares 1"))
    #expect(few.status != 0)
    #expect(
      few.errors.components(separatedBy: "processes cannot train").count == 2, "\(few.errors)")
    #expect(!Files.exists(folder.path + "/run/metrics.jsonl"))
    let other = try Self.launch(2, "lm-sample --checkpoint \(folder.path)/run")
    #expect(other.status != 0 && other.errors.contains("without a launcher"), "\(other.errors)")
  }

  /// A library of another launcher would give copies of rank 0.
  @Test(.enabled(if: isInstalled)) func aLauncherThatIsGoneIsRefused() throws {
    let folder = try TemporaryFolder()
    try Self.tokenize(folder)
    let outcome = try runProgram(
      "", [],
      shell: "OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=0 " + Self.train(folder, "run"))
    #expect(outcome.status != 0)
    #expect(!Files.exists(folder.path + "/run"))
  }

  /// A rank that stands still sends nothing and says nothing: only the clock of the others ends the run.
  @Test(.enabled(if: isInstalled)) func whoHangsIsNotWaitedForForEver() throws {
    let folder = try TemporaryFolder()
    try Self.tokenize(folder)
    let run = folder.path + "/run"
    let outcome = try runProgram(
      "", [],
      shell: """
        export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 LM_MPI_SECONDS=3
        \(Self.launcher) --oversubscribe --bind-to none -n 2 \
          \(Self.train(folder, "run", "--steps 100000 --checkpoint-every 5")) &
        until [ -e \(run)/step-00000005 ]; do sleep 0.05; done
        hanging=$(pgrep -f -- "^[^ ]*lm-train .*--output \(run) " | tail -1)
        kill -STOP $hanging
        wait $!
        """)
    #expect(outcome.status != 0 && outcome.status != 138, "\(outcome.status)")
    #expect(
      outcome.errors.contains("has waited for the others for 3 seconds (LM_MPI_SECONDS)"),
      "\(outcome.errors)")
    let last = try runProgram("", [], shell: Self.train(folder, "run", "--steps 8 --resume"))
    #expect(last.errors.contains("resum"), "\(last.errors)")
  }
}
