package import ArgumentParser
import Foundation
import Synchronization

/// Signals as flags that a loop reads.
///
///     SIGINT, SIGTERM, SIGHUP   stop
///     SIGUSR1                   save and stop; ignored where nothing can be saved
///     SIGUSR2                   save and continue; ignored where nothing can be saved
///
/// A SIGHUP that was ignored when the program began stays so: that is how `nohup` works.
package enum Interrupt {
  private static let received = Atomic<Int32>(0)
  /// Whether SIGINT or SIGTERM has come once: the next one ends the program at once.
  private static let stopsAtOnce = Atomic<Bool>(false)
  /// Whether other processes compute with this one, which must not leave them alone.
  private static let hasOthers = Atomic<Bool>(false)
  /// Written into the pipe at the second signal of one of several processes.
  private static let urgent: UInt8 = 255
  private static let savingIsRequested = Atomic<Bool>(false)
  private static let saves = Atomic<Bool>(false)
  /// The end of a pipe into which the handler writes the number of a signal, for the thread that writes the
  /// messages.
  private static let writeEnd = Atomic<Int32>(-1)
  private static let messages = Mutex((stop: "", save: ""))

  /// The signal that asked the program to stop; 0 if none has.
  package static var signal: Int32 { received.load(ordering: .relaxed) }

  /// Whether a signal asked the program to stop.
  package static var isRequested: Bool { signal != 0 }

  /// The exit code after a request to stop: 128 plus the number of the signal, as in a shell.
  package static var exitCode: ExitCode { ExitCode(128 + signal) }

  /// Whether a signal has asked to save since the last call; clears the request.
  package static func takeSavingRequest() -> Bool {
    savingIsRequested.exchange(false, ordering: .relaxed)
  }

  /// Turns the first signal into `isRequested`; a second SIGINT or SIGTERM ends the program at once.
  ///
  /// SIGHUP and SIGUSR1 never count as the second one: a closing terminal sends SIGHUP twice, and
  /// some send it right after SIGTERM. May be called again with other messages.
  ///
  /// - Parameters:
  ///   - message: Written to standard error at the first signal.
  ///   - saving: Written to standard error at SIGUSR2; nil where nothing can be saved.
  package static func handle(message: String, saving: String? = nil) {
    messages.withLock {
      $0.stop = message
      if let saving { $0.save = saving }
    }
    if saving != nil { saves.store(true, ordering: .relaxed) }
    install(SIGINT, SIGTERM, SIGHUP)
    if saving != nil { install(SIGUSR1, SIGUSR2) }
  }

  /// Lets a second signal end all processes that compute with this one.
  ///
  /// Batch systems send SIGTERM after SIGUSR1, and a script may pass on what has reached the process by
  /// itself: signals within five seconds count as one.
  package static func endsOthers() { hasOthers.store(true, ordering: .relaxed) }

  /// Ignores SIGUSR1 and SIGUSR2 with a message, unless the command saves at them.
  ///
  /// Batch systems send them to all processes, and by default they end a process without a message.
  package static func ignoreUserSignals(command: String) {
    guard !saves.load(ordering: .relaxed) else { return }
    messages.withLock {
      $0.save = "\(command): a signal asked to save, but nothing can be; going on"
    }
    install(SIGUSR1, SIGUSR2)
  }

  private static func install(_ numbers: Int32...) {
    _ = messageThread
    // What the handler uses is initialised before it may run.
    _ = (received.load(ordering: .relaxed), stopsAtOnce.load(ordering: .relaxed))
    _ = (savingIsRequested.load(ordering: .relaxed), saves.load(ordering: .relaxed))
    _ = (hasOthers.load(ordering: .relaxed), urgent)
    for number in numbers {
      var old = sigaction()
      sigaction(number, nil, &old)
      let isIgnored =
        unsafeBitCast(old.__sigaction_handler.sa_handler, to: Int.self)
        == unsafeBitCast(SIG_IGN, to: Int.self)
      if number == SIGHUP, isIgnored { continue }
      var action = sigaction()
      action.__sigaction_handler = .init(sa_handler: { Interrupt.receive($0) })
      sigemptyset(&action.sa_mask)
      action.sa_flags = SA_RESTART
      sigaction(number, &action, nil)
      // The parent process may have blocked the signal.
      var blocked = sigset_t()
      sigemptyset(&blocked)
      sigaddset(&blocked, number)
      pthread_sigmask(SIG_UNBLOCK, &blocked, nil)
    }
  }

  /// The signal handler: sets flags and calls `write`, nothing else.
  private static func receive(_ number: Int32) {
    let code = errno
    var isNew = true
    if number == SIGUSR2 || (number == SIGUSR1 && !saves.load(ordering: .relaxed)) {
      savingIsRequested.store(true, ordering: .relaxed)
    } else {
      if number == SIGINT || number == SIGTERM,
        stopsAtOnce.exchange(true, ordering: .relaxed)
      {
        guard hasOthers.load(ordering: .relaxed) else { _exit(128 + number) }
        var byte = urgent
        _ = write(writeEnd.load(ordering: .relaxed), &byte, 1)
        errno = code
        return
      }
      // The first one decides how the program ends.
      isNew =
        received.compareExchange(expected: 0, desired: number, ordering: .relaxed).exchanged
    }
    if isNew {
      var byte = UInt8(truncatingIfNeeded: number)
      _ = write(writeEnd.load(ordering: .relaxed), &byte, 1)
    }
    errno = code
  }

  /// The thread that writes the messages; without a pipe there are none.
  private static let messageThread: Void = {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0, fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0 else { return }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    writeEnd.store(ends[1], ordering: .relaxed)
    let readEnd = ends[0]
    Thread.detachNewThread {
      var byte: UInt8 = 0
      var asked: DispatchTime?
      while true {
        let count = read(readEnd, &byte, 1)
        if count < 0, errno == EINTR { continue }
        guard count == 1 else { return }
        if byte == urgent {
          guard let asked, DispatchTime.now() > asked + 5 else { continue }
          Ranks.abort(exitCode.rawValue)
          _exit(exitCode.rawValue)
        }
        asked = asked ?? .now()
        let number = Int32(byte)
        let isStop = number != SIGUSR2 && (number != SIGUSR1 || saves.load(ordering: .relaxed))
        Terminal.note(messages.withLock { isStop ? $0.stop : $0.save })
      }
    }
  }()
}
