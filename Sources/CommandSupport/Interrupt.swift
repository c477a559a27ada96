package import ArgumentParser
import Foundation
import Synchronization

/// Signals as questions that a loop asks.
///
///     SIGINT, SIGTERM, SIGHUP   stop
///     SIGUSR1                   save and stop; passed over where nothing can be saved
///     SIGUSR2                   save and go on; passed over where nothing can be saved
///
/// A SIGHUP that was ignored when the program began stays so: that is what `nohup` asks for.
package enum Interrupt {
  private static let received = Atomic<Int32>(0)
  private static let isUrgent = Atomic<Bool>(false)
  private static let savingIsWanted = Atomic<Bool>(false)
  private static let saves = Atomic<Bool>(false)
  /// Where the handler leaves the number of a signal for the thread that writes the messages.
  private static let ringer = Atomic<Int32>(-1)
  private static let words = Mutex((stop: "", save: ""))

  /// The signal that asked the program to stop; 0 if none has.
  package static var signal: Int32 { received.load(ordering: .relaxed) }

  /// Whether somebody has asked the program to stop.
  package static var isRequested: Bool { signal != 0 }

  /// How a program ends that has been asked to: 128 and the number of the signal, as in a shell.
  package static var exitCode: ExitCode { ExitCode(128 + signal) }

  /// Whether somebody has asked since the last time for what is there to be saved.
  package static func takeSavingRequest() -> Bool {
    savingIsWanted.exchange(false, ordering: .relaxed)
  }

  /// Turns the first signal into `isRequested`; a second SIGINT or SIGTERM ends the program at once.
  ///
  /// SIGHUP and SIGUSR1 never count as the second one: a closing terminal sends SIGHUP twice, and
  /// some send it right after SIGTERM. May be called again to say something else.
  ///
  /// - Parameters:
  ///   - message: Written to standard error at the first signal.
  ///   - saving: Written at SIGUSR2; nil where nothing can be saved.
  package static func handle(message: String, saving: String? = nil) {
    words.withLock {
      $0.stop = message
      if let saving { $0.save = saving }
    }
    if saving != nil { saves.store(true, ordering: .relaxed) }
    install(SIGINT, SIGTERM, SIGHUP)
    if saving != nil { install(SIGUSR1, SIGUSR2) }
  }

  /// Says that SIGUSR1 and SIGUSR2 change nothing, unless the command saves at them.
  ///
  /// Batch systems send them to all that runs, and by default they would end it without a word.
  package static func passOverUserSignals(command: String) {
    guard !saves.load(ordering: .relaxed) else { return }
    words.withLock { $0.save = "\(command): a signal asked to save, but nothing can be; going on" }
    install(SIGUSR1, SIGUSR2)
  }

  private static func install(_ numbers: Int32...) {
    _ = speaker
    // What the handler touches is made before it may run.
    _ = (received.load(ordering: .relaxed), isUrgent.load(ordering: .relaxed))
    _ = (savingIsWanted.load(ordering: .relaxed), saves.load(ordering: .relaxed))
    for number in numbers {
      var old = sigaction()
      sigaction(number, nil, &old)
      let isIgnored =
        unsafeBitCast(old.__sigaction_handler.sa_handler, to: Int.self)
        == unsafeBitCast(SIG_IGN, to: Int.self)
      if number == SIGHUP, isIgnored { continue }
      var action = sigaction()
      action.__sigaction_handler = .init(sa_handler: { Interrupt.note($0) })
      sigemptyset(&action.sa_mask)
      action.sa_flags = SA_RESTART
      sigaction(number, &action, nil)
      // Whoever started the program may have held the signal back.
      var held = sigset_t()
      sigemptyset(&held)
      sigaddset(&held, number)
      pthread_sigmask(SIG_UNBLOCK, &held, nil)
    }
  }

  /// The handler: nothing but flags and one `write`.
  private static func note(_ number: Int32) {
    let code = errno
    var isNew = true
    if number == SIGUSR2 || (number == SIGUSR1 && !saves.load(ordering: .relaxed)) {
      savingIsWanted.store(true, ordering: .relaxed)
    } else {
      if number == SIGINT || number == SIGTERM,
        isUrgent.exchange(true, ordering: .relaxed)
      {
        _exit(128 + number)
      }
      // The first one decides how the program ends.
      isNew =
        received.compareExchange(expected: 0, desired: number, ordering: .relaxed).exchanged
    }
    if isNew {
      var byte = UInt8(truncatingIfNeeded: number)
      _ = write(ringer.load(ordering: .relaxed), &byte, 1)
    }
    errno = code
  }

  /// The thread that writes the messages; without a pipe there are none.
  private static let speaker: Void = {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0, fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0 else { return }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    ringer.store(ends[1], ordering: .relaxed)
    let bell = ends[0]
    Thread.detachNewThread {
      var byte: UInt8 = 0
      while true {
        let count = read(bell, &byte, 1)
        if count < 0, errno == EINTR { continue }
        guard count == 1 else { return }
        let number = Int32(byte)
        let isStop = number != SIGUSR2 && (number != SIGUSR1 || saves.load(ordering: .relaxed))
        Terminal.note(words.withLock { isStop ? $0.stop : $0.save })
      }
    }
  }()
}
