import Foundation
import Synchronization

/// Prints to standard output: what stands for the standard library's function of this name wherever
/// this module is imported.
///
/// Figures that cannot be written are remembered, and the command ends with code 1; a message to
/// standard error comes after what was printed before it.
package func print(_ items: Any..., separator: String = " ", terminator: String = "\n") {
  StandardStreams.put(items.map { "\($0)" }.joined(separator: separator) + terminator)
}

/// Standard output and standard error by the calls of the system: none of them ends the program.
package enum StandardStreams {
  private struct Output {
    var waiting: [UInt8] = []
    /// The first failure; what comes after it would be a text with a hole, and is dropped.
    var failure: Int32 = 0
  }

  private static let output = Mutex(Output())
  private static let outputIsTerminal = isatty(STDOUT_FILENO) == 1
  /// Whether a message has been given up because nobody read: then none is waited for any more.
  private static let errorsAreStuck = Atomic<Bool>(false)

  /// Readies the three descriptors; to be called before anything else is opened.
  ///
  /// One that is closed would be given to the next file, and messages be written into that. In its
  /// place stands what cannot be used either: standard input that cannot be read, output that cannot
  /// be written.
  package static func open() {
    // A reader that has gone away is no reason for a signal.
    signal(SIGPIPE, SIG_IGN)
    // Nor is a limit on the size of files: the write fails and is reported as any other.
    signal(SIGXFSZ, SIG_IGN)
    for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] {
      guard fcntl(descriptor, F_GETFD) < 0, errno == EBADF else { continue }
      var opened = Foundation.open(
        "/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
      // Where there is no /dev/null there is a root; a folder is neither read nor written.
      if opened < 0 { opened = Foundation.open("/", O_RDONLY) }
      if opened >= 0, opened != descriptor {
        dup2(opened, descriptor)
        close(opened)
      }
    }
    // A command that ends in the middle keeps what it has printed.
    atexit {
      _ = StandardStreams.output.withLockIfAvailable { StandardStreams.flush(&$0) }
    }
  }

  /// Adds text to standard output, which is buffered unless it is a terminal.
  fileprivate static func put(_ text: String) {
    output.withLock { output in
      output.waiting += Array(text.utf8)
      if outputIsTerminal || output.waiting.count > 1 << 16 { flush(&output) }
    }
  }

  /// Writes out what was printed.
  ///
  /// - Returns: The `errno` of the first failure there was, or 0.
  @discardableResult
  package static func flushOutput() -> Int32 {
    output.withLock { output in
      flush(&output)
      // Libraries may have used C's own buffer.
      if fflush(nil) != 0, output.failure == 0 { output.failure = errno }
      return output.failure
    }
  }

  private static func flush(_ output: inout Output) {
    if output.failure == 0 {
      output.failure = write(output.waiting, to: STDOUT_FILENO, patience: -1)
    }
    output.waiting.removeAll(keepingCapacity: true)
  }

  /// Writes text to standard error at once, after what was printed before it.
  ///
  /// A message that cannot be written is dropped: no work is lost for it.
  package static func message(_ text: String) {
    flushOutput()
    let patience: Int32 = errorsAreStuck.load(ordering: .relaxed) ? 0 : 1_000
    let code = write(Array(text.utf8), to: STDERR_FILENO, patience: patience)
    errorsAreStuck.store(code == EAGAIN, ordering: .relaxed)
  }

  /// Writes all the bytes, however many calls it takes.
  ///
  /// - Parameters:
  ///   - bytes: What is written.
  ///   - descriptor: Where to.
  ///   - patience: Milliseconds to wait each time for a descriptor that does not block and has no
  ///     room; -1 for ever.
  /// - Returns: 0, or the `errno` of what stood in the way; then some bytes may have been written.
  package static func write(_ bytes: [UInt8], to descriptor: Int32, patience: Int32) -> Int32 {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
      if count > 0 {
        rest = rest.dropFirst(count)
        continue
      }
      let code = count == 0 ? EIO : errno
      if code == EINTR { continue }
      guard code == EAGAIN else { return code }
      var watched = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
      let ready = poll(&watched, 1, patience)
      if ready == 0 { return EAGAIN }
      if ready < 0, errno != EINTR { return errno }
    }
    return 0
  }
}
