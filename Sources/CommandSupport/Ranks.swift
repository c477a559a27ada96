package import Communication
import Foundation
import Machine
import Synchronization

/// A command that several processes run together, each a rank, when a launcher such as `mpirun` starts
/// it; all others refuse to be started more than once.
package protocol RankedCommand {}

/// The processes that a launcher has started with this one.
package enum Ranks {
  private static let launch = Launch()
  /// Processes on this host, once they are known.
  private static let local = Atomic<Int>(1)
  /// Number of this process among them.
  private static let place = Atomic<Int>(0)
  /// Whether the library of the launcher has been opened.
  private static let isJoined = Atomic<Bool>(false)

  /// Whether this process speaks for all while no error is its own.
  package static var isFirst: Bool { launch.map { $0.rank == 0 } ?? true }

  /// Meets the other processes, before anything is written; from then on only rank 0 prints.
  package static func join() throws -> any Communicator {
    guard let launch else { return SingleProcess() }
    isJoined.store(true, ordering: .relaxed)
    Interrupt.endsOthers()
    let ranks = try MPIRanks(launch)
    StandardStreams.isSilent = !ranks.isRoot
    var name = [CChar](repeating: 0, count: 256)
    gethostname(&name, name.count - 1)
    let hosts = try ranks.gather(name.map { UInt8(bitPattern: $0) })
    let onThisHost = hosts.count { $0 == hosts[ranks.rank] }
    local.store(max(1, launch.localSize ?? onThisHost), ordering: .relaxed)
    let before = hosts[..<ranks.rank].count { $0 == hosts[ranks.rank] }
    place.store(launch.localRank ?? before, ordering: .relaxed)
    return ranks
  }

  /// Throws if a launcher has started a command more than once that is for one process.
  package static func requireOne(command: String) throws {
    guard let launch else { return }
    throw CommandError(
      "\(command) does this in one process, but \(launch.launcher.rawValue) started "
        + "\(launch.size.map { "\($0)" } ?? "several"); start it without a launcher")
  }

  /// Processors for each process of this host.
  ///
  /// A launcher that binds has left so many already; else they are shared.
  package static var processors: Int {
    let allowed = Processors.allowed
    let sharing = local.load(ordering: .relaxed)
    let isBound = Processors.affinity < Processors.online
    return sharing == 1 || isBound ? allowed : max(1, allowed / sharing)
  }

  /// Processes of this command on this host.
  package static var onThisHost: Int { local.load(ordering: .relaxed) }

  /// Number of this process among those of this command on this host, from 0.
  package static var localRank: Int { place.load(ordering: .relaxed) }

  /// Says who works together; nothing for one.
  package static func describe(
    _ communicator: any Communicator, threads: Int, command: String
  ) {
    guard let ranks = communicator as? MPIRanks else { return }
    Terminal.note(
      "\(command): \(Format.count(ranks.size, "process", "processes")), "
        + "\(Format.count(onThisHost)) of them on this host with "
        + "\(Format.count(threads, "thread")) each, by \(ranks.library)")
  }

  // MARK: The end

  /// Leaves with all others, who must do the same.
  package static func finish() {
    if isJoined.exchange(false, ordering: .relaxed) { MPIRanks.finish() }
  }

  /// Ends all processes; returns where this one is alone.
  package static func abort(_ code: Int32) {
    guard isJoined.load(ordering: .relaxed) else { return }
    MPIRanks.abort(code: code)
  }

  /// What is put before an error, and whether it is written at all: the rank whose error it is tells it.
  static func prefix(of error: any Error) -> String? {
    guard let launch else { return "" }
    if case CommunicationError.failed? = error as? CommunicationError {
      // The one that tells it must come to it before the launcher ends all.
      sleep(3)
      return nil
    }
    if launch.rank == 0 { return "" }
    // What fails everywhere is told by rank 0, whose end is that of all.
    sleep(3)
    return "rank \(launch.rank): "
  }
}
