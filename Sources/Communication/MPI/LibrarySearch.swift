import Foundation

/// Which MPI library belongs to a launcher.
///
/// A library that does not belong to it starts as rank 0 of 1, without an error; `MPIRanks` refuses
/// that, and this search makes it rare.
struct LibrarySearch {
  /// The user's word: a path, or a name for the loader.
  static let variable = "LM_MPI_LIBRARY"

  let launch: Launch
  let environment: [String: String]

  /// Names of libraries that may belong to the launcher, the likelier first.
  ///
  /// Ranks of Open MPI find each other by PMIx, those of MPICH by `PMI_FD`.
  var names: [String] {
    let openMPI = ["libmpi.so.40"]
    let mpich = ["libmpi_abi.so.1", "libmpi.so.12", "libmpich.so.12"]
    switch launch.launcher {
    case .openMPI: return openMPI
    case .hydra: return mpich
    case .srun, .pmix: return environment["PMI_FD"] != nil ? mpich : openMPI + mpich
    }
  }

  private static let launchers: Set = [
    "orterun", "orted", "prterun", "prted", "prte", "mpirun", "mpiexec", "hydra_pmi_proxy",
    "mpiexec.hydra", "mpiexec.gforker",
  ]
  private static let folders = [
    "lib", "lib64", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu", "lib/release",
  ]

  /// Opens a library.
  ///
  /// - Parameter open: Opens one of this name; nil, or why it cannot.
  /// - Throws: One sentence if there is none.
  func open(_ open: (String) -> String?) throws(CommunicationError) {
    if let named = environment[Self.variable] {
      guard let problem = open(named) else { return }
      throw .unusable("the MPI library \(named) of \(Self.variable) cannot be opened: \(problem)")
    }
    guard launch.isWired else {
      throw .unusable(
        "\(launch.launcher.rawValue) started \(launch.size ?? 0) copies of this program but gave them no "
          + "way to find each other; under Slurm use srun --mpi=pmix (Open MPI, Intel MPI) or "
          + "--mpi=pmi2 (MPICH, Intel MPI)")
    }
    let beside = beside(Self.prefix())
    for path in beside {
      // Another library might load in its place, or on some hosts only.
      guard let problem = open(path) else { return }
      throw .unusable("the library of \(launch.launcher.rawValue) cannot be opened: \(problem)")
    }
    var problems: [String] = []
    for name in names {
      guard let problem = open(name) else { return }
      problems.append(problem)
    }
    throw .unusable(
      "\(launch.launcher.rawValue) started \(launch.size.map { "\($0)" } ?? "several") copies of this "
        + "program, but there is no MPI library that it could use; install that of the launcher or name "
        + "it in \(Self.variable) (\(problems.joined(separator: "; ")))")
  }

  /// The first library in the folders beside a launcher.
  private func beside(_ prefix: String?) -> [String] {
    guard let prefix else { return [] }
    let paths = Self.folders.flatMap { folder in names.map { "\(prefix)/\(folder)/\($0)" } }
    return Array(paths.filter { access($0, F_OK) == 0 }.prefix(1))
  }

  /// The folder in which the launcher is installed; nil where it cannot be read, as under Slurm.
  ///
  /// It is the program of a process above this one, on other hosts too, where that is its daemon.
  private static func prefix() -> String? {
    var process = Int(getppid())
    for _ in 0..<6 where process > 1 {
      if let path = try? FileManager.default.destinationOfSymbolicLink(
        atPath: "/proc/\(process)/exe")
      {
        let parts = path.split(separator: "/")
        if let name = parts.last, launchers.contains(String(name)), parts.count > 2 {
          return "/" + parts.dropLast(2).joined(separator: "/")
        }
      }
      // `number (name) state parent`: the name may hold spaces and parentheses.
      guard let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
        let end = text.lastIndex(of: ")"),
        let parent = text[text.index(after: end)...].split(separator: " ").dropFirst().first,
        let number = Int(parent)
      else { return nil }
      process = number
    }
    return nil
  }
}
