import Foundation
import Synchronization

/// SIGINT as the wish to stop what is going on, not the program.
package enum Break {
  private static let wanted = Atomic<Bool>(false)
  /// The two ends of a pipe in which the handler leaves a byte: a wait that is about to begin when the
  /// signal comes would miss it, as `read` alone does, but finds the byte.
  private static let bell = Atomic<Int32>(-1)
  private static let ringer = Atomic<Int32>(-1)

  /// From now on SIGINT ends no program, but a `wait`.
  ///
  /// - Throws: `CommandError` if the system has no pipe to give.
  package static func handle() throws {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0, fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0,
      fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0
    else {
      throw CommandError("could not make a pipe: \(String(cString: strerror(errno)))")
    }
    // Made before a handler may touch them.
    wanted.store(false, ordering: .relaxed)
    bell.store(ends[0], ordering: .relaxed)
    ringer.store(ends[1], ordering: .relaxed)
    var action = sigaction()
    action.__sigaction_handler = .init(
      sa_handler: { _ in
        let code = errno
        Break.wanted.store(true, ordering: .sequentiallyConsistent)
        // A full pipe rings as well.
        var byte: UInt8 = 0
        _ = write(Break.ringer.load(ordering: .relaxed), &byte, 1)
        errno = code
      })
    sigemptyset(&action.sa_mask)
    action.sa_flags = SA_RESTART
    sigaction(SIGINT, &action, nil)
  }

  /// Waits until `descriptor` has something to read, or its end.
  ///
  /// - Returns: Whether it has; not so where somebody asked, before or meanwhile.
  package static func wait(for descriptor: Int32) -> Bool {
    while true {
      if isRequested { return false }
      // A negative descriptor, before `handle`, is passed over.
      var watched = [
        pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
        pollfd(fd: bell.load(ordering: .relaxed), events: Int16(POLLIN), revents: 0),
      ]
      let ready = poll(&watched, nfds_t(watched.count), -1)
      // An error of `poll` other than a signal is one of `read` as well, which reports it.
      if isRequested { return false }
      if ready < 0 ? errno != EINTR : watched[0].revents != 0 { return true }
    }
  }

  /// Whether somebody has asked since `take` was last called.
  package static var isRequested: Bool { wanted.load(ordering: .sequentiallyConsistent) }

  /// Whether somebody has asked since the last time.
  package static func take() -> Bool {
    // Emptied first: a signal in between then rings in vain, and is not missed.
    var bytes = [UInt8](repeating: 0, count: 64)
    let end = bell.load(ordering: .relaxed)
    if end >= 0, isRequested { while read(end, &bytes, bytes.count) > 0 {} }
    return wanted.exchange(false, ordering: .sequentiallyConsistent)
  }
}
