import Foundation
import Synchronization

/// SIGINT as a request to stop the current activity, not the program.
package enum Break {
  private static let requested = Atomic<Bool>(false)
  /// The two ends of a pipe into which the handler writes a byte: a wait that is about to begin when the
  /// signal comes would miss the signal, as `read` alone does, but finds the byte.
  private static let readEnd = Atomic<Int32>(-1)
  private static let writeEnd = Atomic<Int32>(-1)

  /// From now on SIGINT ends a `wait` instead of the program.
  ///
  /// - Throws: `CommandError` if a pipe cannot be made.
  package static func handle() throws {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0, fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0,
      fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0
    else {
      throw CommandError("could not make a pipe: \(String(cString: strerror(errno)))")
    }
    // Initialised before a handler may use them.
    requested.store(false, ordering: .relaxed)
    readEnd.store(ends[0], ordering: .relaxed)
    writeEnd.store(ends[1], ordering: .relaxed)
    var action = sigaction()
    action.__sigaction_handler = .init(
      sa_handler: { _ in
        let code = errno
        Break.requested.store(true, ordering: .sequentiallyConsistent)
        // If the pipe is full, it wakes the reader as well.
        var byte: UInt8 = 0
        _ = write(Break.writeEnd.load(ordering: .relaxed), &byte, 1)
        errno = code
      })
    sigemptyset(&action.sa_mask)
    action.sa_flags = SA_RESTART
    sigaction(SIGINT, &action, nil)
  }

  /// Waits until `descriptor` has something to read, or its end.
  ///
  /// - Returns: Whether it has; false if SIGINT came, before or meanwhile.
  package static func wait(for descriptor: Int32) -> Bool {
    while true {
      if isRequested { return false }
      // `poll` ignores a negative descriptor, as before `handle`.
      var watched = [
        pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
        pollfd(fd: readEnd.load(ordering: .relaxed), events: Int16(POLLIN), revents: 0),
      ]
      let ready = poll(&watched, nfds_t(watched.count), -1)
      // Any other error of `poll` is one of `read` as well, which reports it.
      if isRequested { return false }
      if ready < 0 ? errno != EINTR : watched[0].revents != 0 { return true }
    }
  }

  /// Whether SIGINT has come since `takeRequest` was last called.
  package static var isRequested: Bool { requested.load(ordering: .sequentiallyConsistent) }

  /// Whether SIGINT has come since the last call; clears the request.
  package static func takeRequest() -> Bool {
    // The pipe is emptied before the flag is cleared: a signal in between leaves a byte too many rather
    // than being missed.
    var bytes = [UInt8](repeating: 0, count: 64)
    let end = readEnd.load(ordering: .relaxed)
    if end >= 0, isRequested { while read(end, &bytes, bytes.count) > 0 {} }
    return requested.exchange(false, ordering: .sequentiallyConsistent)
  }
}
