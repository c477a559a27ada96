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
      parts.width, parts.send, parts.sent.counts, parts.sent.offsets, parts.receive,
      parts.received.counts, parts.received.offsets)
    guard code == 0 else { throw .unusable(Self.message) }
  }

  package func exchange(
    _ outgoing: Outgoing, into incoming: Incoming, isShared: () -> Bool
  ) throws(CommunicationError) {
    // Not the call that waits, even where nobody computes here: somebody may elsewhere, and the two calls
    // never meet.
    try exchange([(outgoing, incoming)], isShared: isShared)
  }

  package func exchange(
    _ all: [(outgoing: Outgoing, incoming: Incoming)]
  ) throws(CommunicationError) {
    try exchange(all) { false }
  }

  /// A few at once, so that a link is not idle between the end of one and the beginning of the next.
  private func exchange(
    _ all: [(outgoing: Outgoing, incoming: Incoming)], isShared: () -> Bool
  ) throws(CommunicationError) {
    watch.begin()
    defer { watch.end() }
    /// Of the exchanges under way, by place.
    var numbers = [UnsafeMutablePointer<Int32>?](repeating: nil, count: Int(CMPI_PLACES))
    var (begun, left) = (0, all.count)
    while left > 0 {
      var isIdle = true
      for place in numbers.indices {
        if let kept = numbers[place] {
          var isDone: Int32 = 0
          guard cmpi_test(Int32(place), &isDone) == 0 else { throw .unusable(Self.message) }
          guard isDone != 0 else { continue }
          kept.deallocate()
          numbers[place] = nil
          left -= 1
        } else if begun < all.count {
          numbers[place] = try begin(all[begun].outgoing, all[begun].incoming, place: place)
          begun += 1
        } else {
          continue
        }
        isIdle = false
      }
      if isIdle { if isShared() { usleep(100) } else { sched_yield() } }
    }
  }

  /// Begins an exchange; returns the counts and offsets that the library reads until it is done.
  private func begin(
    _ outgoing: Outgoing, _ incoming: Incoming, place: Int
  ) throws(CommunicationError) -> UnsafeMutablePointer<Int32> {
    let parts = try Parts(outgoing, incoming, own: rank)
    let numbers = [
      parts.sent.counts, parts.sent.offsets, parts.received.counts, parts.received.offsets,
    ].flatMap { $0 }
    let kept = UnsafeMutablePointer<Int32>.allocate(capacity: numbers.count)
    kept.initialize(from: numbers, count: numbers.count)
    let code = cmpi_begin(
      Int32(place), parts.width, parts.send, kept, kept + size, parts.receive, kept + 2 * size,
      kept + 3 * size)
    guard code == 0 else { throw .unusable(Self.message) }
    return kept
  }

  package func waiting<Result>(_ body: () throws -> Result) throws -> Result {
    watch.begin()
    defer { watch.end() }
    return try body()
  }

  /// An exchange as the library takes it; the rank's own part is copied here and left out.
  ///
  /// Each side begins with the first byte that it has. Two sides of one address, of which ours often are, MPI
  /// does not allow, and Open MPI takes them for `MPI_IN_PLACE`, whatever their counts.
  private struct Parts {
    typealias Numbers = (counts: [Int32], offsets: [Int32])
    /// Bytes of an element.
    let width: Int32
    let send: UnsafeRawPointer
    let sent: Numbers
    let receive: UnsafeMutableRawPointer
    let received: Numbers

    init(_ outgoing: Outgoing, _ incoming: Incoming, own: Int) throws(CommunicationError) {
      let (part, place) = (outgoing.parts[own], incoming.parts[own])
      precondition(part.count == place.count, "\(part.count) bytes for \(place.count)")
      memmove(incoming.base + place.lowerBound, outgoing.base + part.lowerBound, part.count)
      let isOfWords = (outgoing.parts + incoming.parts).allSatisfy {
        $0.lowerBound % 4 == 0 && $0.count % 4 == 0
      }
      let width = isOfWords ? 4 : 1
      let (sent, received) = (
        Self.first(outgoing.parts, own: own), Self.first(incoming.parts, own: own)
      )
      self.width = Int32(width)
      self.sent = try Self.numbers(outgoing.parts, from: sent ?? 0, width: width, own: own)
      self.received = try Self.numbers(incoming.parts, from: received ?? 0, width: width, own: own)
      receive = received.map { incoming.base + $0 } ?? Self.nowhere
      send = sent.map { outgoing.base + $0 } ?? UnsafeRawPointer(Self.nowhere + 4)
    }

    /// An address of a side that has nothing.
    nonisolated(unsafe) private static let nowhere = UnsafeMutableRawPointer.allocate(
      byteCount: 8, alignment: 8)

    private static func first(_ parts: [Range<Int>], own: Int) -> Int? {
      parts.enumerated().filter { $0.offset != own && !$0.element.isEmpty }
        .map(\.element.lowerBound).min()
    }

    private static func numbers(
      _ parts: [Range<Int>], from first: Int, width: Int, own: Int
    ) throws(CommunicationError) -> Numbers {
      var (counts, offsets): Numbers = ([], [])
      for (rank, part) in parts.enumerated() {
        let isEmpty = rank == own || part.isEmpty
        let (begin, end) = isEmpty ? (0, 0) : (part.lowerBound - first, part.upperBound - first)
        guard Int32(exactly: end / width) != nil else {
          throw .unusable("an exchange of \(end) bytes is beyond what MPI counts")
        }
        counts.append(Int32((end - begin) / width))
        offsets.append(Int32(begin / width))
      }
      return (counts, offsets)
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
