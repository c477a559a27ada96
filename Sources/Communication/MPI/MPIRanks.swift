import CMPI
import Dispatch
import Foundation
import Synchronization

/// The processes that a launcher of MPI has started.
///
/// The library is opened when the program runs, so that one program works under any of them and needs
/// none. Sums are added by ``ShareTree`` and never by the library, whose order changes with sizes.
package final class MPIRanks: Communicator {
  package let rank: Int
  package let size: Int
  private let watch: Watch

  /// Version and path of the library.
  package let library: String

  /// Opens the library of the launcher and meets the other ranks.
  ///
  /// Once per process, before it writes anything: only the comparison of rank and size with what the
  /// launcher says tells that the library belongs to it.
  ///
  /// - Throws: One sentence; the process must end then, with ``abort(code:)``.
  package init(
    _ launch: Launch, environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws(CommunicationError) {
    try LibrarySearch(launch: launch, environment: environment).open { name in
      cmpi_open(name) == 0 ? nil : Self.message
    }
    var (rank, size): (Int32, Int32) = (-1, -1)
    guard cmpi_start(&rank, &size) == 0 else { throw .unusable(Self.message) }
    library = String(cString: cmpi_library())
    self.rank = Int(rank)
    self.size = Int(size)
    watch = Watch(rank: Int(rank), seconds: Self.limit(environment))
    guard self.rank == launch.rank, launch.size.map({ $0 == self.size }) ?? (self.size > 1) else {
      throw .unusable(
        "\(launch.launcher.rawValue) started this program as rank \(launch.rank) of "
          + "\(launch.size.map { "\($0)" } ?? "several"), but \(library) says rank \(rank) of \(size): "
          + "they do not belong together; name the library of the launcher in "
          + LibrarySearch.variable)
    }
  }

  private static var message: String { String(cString: cmpi_message()) }

  package func exchange(_ outgoing: Outgoing, into incoming: Incoming) throws(CommunicationError) {
    let own = outgoing.parts[rank]
    let place = incoming.parts[rank]
    precondition(own.count == place.count, "\(own.count) bytes for \(place.count)")
    memmove(incoming.base + place.lowerBound, outgoing.base + own.lowerBound, own.count)
    let all = outgoing.parts + incoming.parts
    let width = all.allSatisfy { $0.lowerBound % 4 == 0 && $0.count % 4 == 0 } ? 4 : 1
    /// Counts and offsets of all parts; the own one is empty.
    func numbers(_ parts: [Range<Int>]) throws(CommunicationError) -> (
      counts: [Int32], offsets: [Int32]
    ) {
      var (counts, offsets): ([Int32], [Int32]) = ([], [])
      for (index, part) in parts.enumerated() {
        guard let end = Int32(exactly: part.upperBound / width) else {
          throw .unusable("an exchange of \(part.upperBound) bytes is beyond what MPI counts")
        }
        counts.append(index == rank ? 0 : Int32(part.count / width))
        offsets.append(index == rank ? 0 : end - Int32(part.count / width))
      }
      return (counts, offsets)
    }
    let (sent, received) = (try numbers(outgoing.parts), try numbers(incoming.parts))
    watch.begin()
    defer { watch.end() }
    let code = cmpi_exchange(
      Int32(width), outgoing.base, sent.counts, sent.offsets, incoming.base, received.counts,
      received.offsets)
    guard code == 0 else { throw .unusable(Self.message) }
  }

  /// Ends all ranks; returns where no library was started.
  package static func abort(code: Int32) { cmpi_abort(code) }

  /// Leaves the library once all ranks do.
  package static func finish() { _ = cmpi_finish() }

  /// Seconds after which a rank that waits gives up, from the environment or ten minutes.
  private static func limit(_ environment: [String: String]) -> Int {
    environment[Watch.variable].flatMap { Int($0) }.flatMap { $0 > 0 ? $0 : nil } ?? 600
  }
}

/// Ends all ranks if one of them waits too long for the others.
///
/// A rank that hangs sends nothing and reports nothing; those that wait for it see only the clock.
private final class Watch: Sendable {
  static let variable = "LM_MPI_SECONDS"
  /// When the present exchange began, in seconds of the system's clock; 0 outside of one.
  private let began = Atomic<Int>(0)

  init(rank: Int, seconds: Int) {
    Thread.detachNewThread {
      while true {
        sleep(UInt32(min(10, max(1, seconds / 10))))
        let start = self.began.load(ordering: .relaxed)
        guard start > 0, Self.now - start > seconds else { continue }
        let problem =
          "rank \(rank) has waited for the others for \(seconds) seconds (\(Self.variable)); one of "
          + "them hangs, and all end\n"
        FileHandle.standardError.write(Data(problem.utf8))
        // Where the library cannot end the others, the launcher does when this one ends.
        DispatchQueue.global().asyncAfter(deadline: .now() + 10) { _exit(70) }
        MPIRanks.abort(code: 70)
        sleep(20)
        _exit(70)
      }
    }
  }

  private static var now: Int { Int(DispatchTime.now().uptimeNanoseconds / 1_000_000_000) }

  func begin() { began.store(max(1, Self.now), ordering: .relaxed) }
  func end() { began.store(0, ordering: .relaxed) }
}
