import Foundation
import Storage
import TestSupport
import Testing

/// Two real processes on cards that are pretended, through a real MPI; skipped where Debian's Open MPI is
/// not installed (`scripts/setup.sh mpi`).
@Suite(.serialized) struct CardRankTests {
  private static let launcher = "/usr/bin/mpirun.openmpi"
  private static var isInstalled: Bool { Files.exists(launcher) }

  private let folder: TemporaryFolder
  private let sandbox: CUDASandbox

  init() throws {
    folder = try TemporaryFolder()
    sandbox = try CUDASandbox(names: CUDASandbox.names + ["libnccl.so.2"])
    let words = ["ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine"]
    let lines: [String] = (0..<300).map { (line: Int) -> String in
      let chosen: [Int] = (0...(line % 17)).map { (place: Int) -> Int in
        (line * 7 + place * place) % 10
      }
      return chosen.map { words[$0] }.joined(separator: " ")
    }
    let text = try folder.write(lines.joined(separator: "\n") + "\n", to: "text")
    let made = try runProgram(
      "lm-tokenize",
      [
        "--train", text, "--split-valid", "0.1", "--vocab-size", "280", "--output",
        folder.path + "/data",
      ])
    try #require(made.status == 0, "\(made.errors)")
  }

  /// Trains with so many processes; weights of several runs of squares, so that each has a part of them.
  private func train(
    _ run: String, processes: Int = 2, told instructions: String = "cards=2",
    device: String = "cuda", environment: String = "", _ more: String = ""
  ) throws -> ProgramOutcome {
    let launch = "exec \(Self.launcher) --oversubscribe --bind-to none -n \(processes) "
    return try runProgram(
      "", [],
      shell: """
        export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 TMPDIR='\(folder.path)'
        export LM_CUDA_LIBRARIES='\(sandbox.libraries)' XDG_CACHE_HOME='\(sandbox.cachePath)'
        export FAKE_CUDA='\(instructions)' \(environment)
        \(processes > 1 ? launch : "") lm-train --data '\(folder.path)/data' \
          --output '\(folder.path)/\(run)' --device \(device) --layers 2 --width 96 --heads 4 \
          --hidden 256 --steps 4 --batch-tokens 60 --dropout 0.1 --threads 1 --warmup 1 \
          --validate-every 0 --checkpoint-every 2 --gradient-shares 4 --log-every 1 \(more)
        """)
  }

  private func files(_ run: String) throws -> [[UInt8]] {
    try ["model.safetensors", "optimizer.safetensors"].map {
      try Files.contents(of: "\(folder.path)/\(run)/step-00000004/\($0)")
    }
  }

  @Test(.enabled(if: isInstalled)) func twoCardsTrainWithTheBitsOfOne() throws {
    let one = try train("one", processes: 1)
    try #require(one.status == 0, "\(one.errors)")
    #expect(!one.errors.contains("between cards"))
    let prefix = "lm-train: gradients and weights go between cards by "
    for (run, device, environment, way) in [
      ("nccl", "cuda", "", "NCCL 2.27.3 (\(sandbox.libraries)/libnccl.so.2)"),
      ("off", "auto", "LM_NCCL=off", "MPI and memory of the hosts; LM_NCCL is off"),
      (
        "shared", "cuda:1", "",
        "MPI and memory of the hosts; ranks 0 and 1 share a card, which NCCL refuses"
      ),
    ] {
      let two = try train(run, device: device, environment: environment)
      #expect(two.status == 0, "\(two.errors)")
      #expect(two.errors.contains(prefix + way + "\n"), "\(two.errors)")
      let isSame = try files(run) == files("one")
      #expect(isSame, "\(run)")
    }
  }

  /// A rank that is lost or hangs ends all with one sentence; what was saved is whole, and the run goes on
  /// from it without NCCL.
  @Test(.enabled(if: isInstalled)) func whatFailsEndsAll() throws {
    try #require(train("one", processes: 1).status == 0)
    for (run, instruction, sentence) in [
      (
        "lost", "ncclGroupEnd/1=6@18",
        "lm-train: error: rank 1: NCCL 2.27.3 failed while exchanging (6, remote"
      ),
      (
        "hangs", "ncclGroupEnd/1=99@18",
        "has waited for the others for 5 seconds (LM_MPI_SECONDS)"
      ),
    ] {
      let failed = try train(
        run, told: "cards=2 " + instruction, environment: "LM_MPI_SECONDS=5")
      #expect(failed.status != 0)
      #expect(failed.errors.contains(sentence), "\(failed.errors)")
      #expect(failed.errors.components(separatedBy: "error:").count <= 2, "\(failed.errors)")
      let saved = folder.path + "/\(run)/"
      #expect(Files.exists(saved + "latest") && !Files.exists(saved + "step-00000004"))
      let resumed = try train(run, environment: "LM_NCCL=off", "--resume")
      #expect(resumed.status == 0, "\(resumed.errors)")
      let isSame = try files(run) == files("one")
      #expect(isSame, "\(run)")
    }
  }
}
