import Foundation

/// How this process was started as one of several, as its environment says before any library is open.
package struct Launch: Sendable, Equatable {
  /// What started it.
  package enum Launcher: String, Sendable {
    case openMPI = "mpirun of Open MPI"
    case hydra = "mpiexec (Hydra)"
    case srun = "srun"
    case pmix = "a PMIx launcher"
  }

  package let launcher: Launcher
  /// Number of this process.
  package let rank: Int
  /// How many there are; nil where the launcher does not say.
  package let size: Int?
  /// How many of them are on this host, where the launcher says.
  package let localSize: Int?
  /// Number of this process among them, from 0, where the launcher says.
  package let localRank: Int?
  /// Whether the launcher has left something by which a library finds the others.
  package let isWired: Bool

  /// Nil where nobody has started this process as one of several.
  ///
  /// `mpirun` inside a Slurm job inherits variables of Slurm, so the launchers' own come first; a
  /// command of a batch script has `SLURM_NTASKS` but no `SLURM_STEP_NUM_TASKS`, and is alone.
  package init?(_ environment: [String: String] = ProcessInfo.processInfo.environment) {
    func number(_ name: String) -> Int? {
      environment[name].flatMap { Int($0) }.flatMap { $0 >= 0 ? $0 : nil }
    }
    func has(_ names: String...) -> Bool { names.contains { environment[$0] != nil } }
    let step = number("SLURM_STEP_NUM_TASKS")
    if let size = number("OMPI_COMM_WORLD_SIZE") {
      launcher = .openMPI
      rank = number("OMPI_COMM_WORLD_RANK") ?? 0
      self.size = size
      localSize = number("OMPI_COMM_WORLD_LOCAL_SIZE")
      localRank = number("OMPI_COMM_WORLD_LOCAL_RANK")
      isWired = has("PMIX_NAMESPACE")
    } else if let size = number("PMI_SIZE"), step == nil || has("MPI_LOCALNRANKS") {
      // Hydra in a Slurm job starts its proxies by srun, so that its ranks see a step of one task.
      launcher = .hydra
      rank = number("PMI_RANK") ?? 0
      self.size = size
      localSize = number("MPI_LOCALNRANKS")
      localRank = number("MPI_LOCALRANKID")
      isWired = has("PMI_FD", "PMI_PORT")
    } else if let step, let rank = number("SLURM_PROCID") {
      launcher = .srun
      self.rank = rank
      size = step
      localSize = nil
      localRank = number("SLURM_LOCALID")
      isWired = has("PMI_FD", "PMIX_NAMESPACE")
    } else if has("PMIX_NAMESPACE"), let rank = number("PMIX_RANK") {
      launcher = .pmix
      self.rank = rank
      size = nil
      localSize = nil
      localRank = nil
      isWired = true
    } else {
      return nil
    }
    if size == 1 { return nil }
  }
}
