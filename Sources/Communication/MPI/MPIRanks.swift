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
    let start = StartGuard(rank: launch.rank)
    let code = cmpi_start(&rank, &size)
    start.end()
    guard code == 0 else { throw .unusable(Self.message) }
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
    let parts = try Parts(outgoing, incoming, own: rank)
    watch.begin()
    defer { watch.end() }
    let code = cmpi_exchange(
      parts.width, outgoing.base, parts.sent.counts, parts.sent.offsets, incoming.base,
      parts.received.counts, parts.received.offsets)
    guard code == 0 else { throw .unusable(Self.message) }
  }

  package func exchange(
    _ outgoing: Outgoing, into incoming: Incoming, isShared: () -> Bool
  ) throws(CommunicationError) {
    // Not the call that waits, even where nobody computes here: somebody may elsewhere, and the two calls
    // never meet.
    let parts = try Parts(outgoing, incoming, own: rank)
    // The library reads counts and offsets until the exchange is done.
    let numbers = [
      parts.sent.counts, parts.sent.offsets, parts.received.counts, parts.received.offsets,
    ].flatMap { $0 }
    let kept = UnsafeMutablePointer<Int32>.allocate(capacity: numbers.count)
    kept.initialize(from: numbers, count: numbers.count)
    defer { kept.deallocate() }
    watch.begin()
    defer { watch.end() }
    var code = cmpi_begin(
      parts.width, outgoing.base, kept, kept + size, incoming.base, kept + 2 * size,
      kept + 3 * size)
    var isDone: Int32 = 0
    while code == 0, isDone == 0 {
      code = cmpi_test(&isDone)
      if isDone == 0 { if isShared() { usleep(100) } else { sched_yield() } }
    }
    guard code == 0 else { throw .unusable(Self.message) }
  }

  package func waiting<Result>(_ body: () throws -> Result) throws -> Result {
    watch.begin()
    defer { watch.end() }
    return try body()
  }

  /// An exchange as the library takes it; the rank's own part is copied here and left out.
  private struct Parts {
    /// Bytes of an element.
    let width: Int32
    let sent: (counts: [Int32], offsets: [Int32])
    let received: (counts: [Int32], offsets: [Int32])

    init(_ outgoing: Outgoing, _ incoming: Incoming, own: Int) throws(CommunicationError) {
      let (part, place) = (outgoing.parts[own], incoming.parts[own])
      precondition(part.count == place.count, "\(part.count) bytes for \(place.count)")
      memmove(incoming.base + place.lowerBound, outgoing.base + part.lowerBound, part.count)
      let isOfWords = (outgoing.parts + incoming.parts).allSatisfy {
        $0.lowerBound % 4 == 0 && $0.count % 4 == 0
      }
      let width = isOfWords ? 4 : 1
      func numbers(_ parts: [Range<Int>]) throws(CommunicationError) -> ([Int32], [Int32]) {
        var (counts, offsets): ([Int32], [Int32]) = ([], [])
        for (rank, part) in parts.enumerated() {
          guard let end = Int32(exactly: part.upperBound / width) else {
            throw .unusable("an exchange of \(part.upperBound) bytes is beyond what MPI counts")
          }
          counts.append(rank == own ? 0 : Int32(part.count / width))
          offsets.append(rank == own ? 0 : end - Int32(part.count / width))
        }
        return (counts, offsets)
      }
      self.width = Int32(width)
      sent = try numbers(outgoing.parts)
      received = try numbers(incoming.parts)
    }
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
