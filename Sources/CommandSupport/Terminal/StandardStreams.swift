import Foundation
import Synchronization

/// Prints to standard output; replaces the standard library's function of this name wherever this module
/// is imported.
///
/// A failed write is remembered, and the command ends with code 1. Messages to standard error keep their
/// order with what was printed before.
package func print(_ items: Any..., separator: String = " ", terminator: String = "\n") {
  StandardStreams.append(items.map { "\($0)" }.joined(separator: separator) + terminator)
}

/// Standard output and standard error by system calls, none of which ends the program.
package enum StandardStreams {
  private struct Output {
    var buffer: [UInt8] = []
    /// The `errno` of the first failure, or 0; what is printed after it is dropped, as the text would have
    /// a hole.
    var failure: Int32 = 0
  }

  private static let output = Mutex(Output())
  private static let outputIsTerminal = isatty(STDOUT_FILENO) == 1
  /// Whether a message was dropped because standard error was not read: no later message waits then.
  private static let errorsAreBlocked = Atomic<Bool>(false)

  /// Whether nothing is printed and noted, because another rank does; errors are written still.
  static var isSilent: Bool {
    get { silence.load(ordering: .relaxed) }
    set { silence.store(newValue, ordering: .relaxed) }
  }
  private static let silence = Atomic<Bool>(false)

  /// Prepares the three standard descriptors; called before any file is opened.
  ///
  /// The next file that is opened would get the number of a closed one, and messages would be written
  /// into it. So a closed one is replaced: input by one that cannot be read, output by one that cannot be
  /// written.
  package static func open() {
    // Writing to a closed pipe must fail, not end the program.
    signal(SIGPIPE, SIG_IGN)
    // So must writing past a limit on the size of files.
    signal(SIGXFSZ, SIG_IGN)
    for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] {
      guard fcntl(descriptor, F_GETFD) < 0, errno == EBADF else { continue }
      var opened = Foundation.open(
        "/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
      // Without /dev the root folder serves: it can be neither read nor written.
      if opened < 0 { opened = Foundation.open("/", O_RDONLY) }
      if opened >= 0, opened != descriptor {
        dup2(opened, descriptor)
        close(opened)
      }
    }
    // Whatever ends the command, what was printed is written.
    atexit {
      _ = StandardStreams.output.withLockIfAvailable { StandardStreams.flush(&$0) }
    }
  }

  /// Adds text to standard output, which is buffered unless it is a terminal.
  fileprivate static func append(_ text: String) {
    if isSilent { return }
    output.withLock { output in
      output.buffer += Array(text.utf8)
      if outputIsTerminal || output.buffer.count > 1 << 16 { flush(&output) }
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
      output.failure = write(output.buffer, to: STDOUT_FILENO, timeout: -1)
    }
    output.buffer.removeAll(keepingCapacity: true)
  }

  /// Writes text to standard error at once, after what was printed before it.
  ///
  /// A message that cannot be written is dropped: that must not stop the work.
  package static func message(_ text: String) {
    flushOutput()
    let timeout: Int32 = errorsAreBlocked.load(ordering: .relaxed) ? 0 : 1_000
    let code = write(Array(text.utf8), to: STDERR_FILENO, timeout: timeout)
    errorsAreBlocked.store(code == EAGAIN, ordering: .relaxed)
  }

  /// Writes all the bytes, however many calls it takes.
  ///
  /// - Parameters:
  ///   - bytes: What is written.
  ///   - descriptor: Where to.
  ///   - timeout: Milliseconds to wait each time for a non-blocking descriptor that has no room; -1 for
  ///     ever.
  /// - Returns: 0 or an `errno`, after which some of the bytes may have been written.
  package static func write(_ bytes: [UInt8], to descriptor: Int32, timeout: Int32) -> Int32 {
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
      let ready = poll(&watched, 1, timeout)
      if ready == 0 { return EAGAIN }
      if ready < 0, errno != EINTR { return errno }
    }
    return 0
  }
}
