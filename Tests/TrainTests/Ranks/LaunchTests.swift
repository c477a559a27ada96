import Communication
import Testing

/// Who has started a process, told by what each launcher leaves in its environment.
@Suite struct LaunchTests {
  @Test func launchersAreTold() throws {
    let openMPI = try #require(
      Launch([
        "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
        "OMPI_COMM_WORLD_LOCAL_RANK": "0", "PMIX_NAMESPACE": "x", "PMIX_RANK": "1",
      ]))
    #expect(openMPI.launcher == .openMPI && openMPI.rank == 1 && openMPI.size == 2)
    #expect(openMPI.localSize == 2 && openMPI.localRank == 0 && openMPI.isWired)
    let hydra = try #require(
      Launch([
        "PMI_RANK": "5", "PMI_SIZE": "6", "PMI_FD": "8", "MPI_LOCALNRANKS": "3",
        "MPI_LOCALRANKID": "2",
      ]))
    #expect(hydra.localSize == 3 && hydra.localRank == 2)
    #expect(hydra.launcher == .hydra && hydra.size == 6 && hydra.isWired)
    let srun = [
      "SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_STEP_NUM_TASKS": "2", "SLURM_NTASKS": "2",
    ]
    #expect(Launch(srun)?.localRank == 1)
    #expect(Launch(srun)?.launcher == .srun && Launch(srun)?.isWired == false)
    let wired = Launch(srun.merging(["PMI_FD": "5", "PMI_SIZE": "2", "PMI_RANK": "1"]) { $1 })
    #expect(wired?.launcher == .srun && wired?.isWired == true)
    let unknown = Launch(["PMIX_NAMESPACE": "x", "PMIX_RANK": "4"])
    #expect(unknown?.launcher == .pmix && unknown?.rank == 4 && unknown?.size == nil)
  }

  /// Hydra in a job of Slurm starts its proxies by `srun`, one task on every host.
  @Test func launchersInsideOfSlurmComeFirst() {
    let slurm = ["SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1", "SLURM_NTASKS": "2"]
    let hydra = ["PMI_RANK": "1", "PMI_SIZE": "2", "PMI_FD": "8", "MPI_LOCALNRANKS": "2"]
    #expect(Launch(slurm.merging(hydra) { $1 })?.launcher == .hydra)
    let openMPI = ["OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"]
    #expect(Launch(slurm.merging(openMPI) { $1 })?.launcher == .openMPI)
  }

  @Test func aloneIsAlone() {
    #expect(Launch([:]) == nil)
    // A command of a batch script, and launchers of one.
    #expect(Launch(["SLURM_PROCID": "0", "SLURM_NTASKS": "2"]) == nil)
    #expect(Launch(["OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1"]) == nil)
    #expect(Launch(["PMI_RANK": "0", "PMI_SIZE": "1"]) == nil)
    #expect(Launch(["SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"]) == nil)
  }

  /// A process that was killed before it had met the others is a child of the same parent that nobody has
  /// asked for.
  @Test func whoHasEndedBeforeAllHaveMet() {
    let lines = [
      "10 (lm-train) S 7 10 10 0", "11 (lm-train) Z 7 11 11 0", "12 (lm (x) y) Z 7 12 12 0",
      "13 (lm-train) Z 8 13 13 0", "broken", "",
    ]
    #expect(StartGuard.ended(lines, of: 7, command: "lm-train") == 11)
    #expect(StartGuard.ended(lines, of: 7, command: "lm (x) y") == 12)
    #expect(StartGuard.ended(lines, of: 8, command: "lm-train") == 13)
    #expect(StartGuard.ended(Array(lines.prefix(1)), of: 7, command: "lm-train") == nil)
    #expect(StartGuard.ended(lines, of: 9, command: "lm-train") == nil)
  }
}
