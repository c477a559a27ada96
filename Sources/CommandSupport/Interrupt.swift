import Foundation
import Synchronization

/// SIGINT and SIGTERM as a question that a loop asks.
package enum Interrupt {
  private static let received = Atomic<Int32>(0)

  /// The signal that asked the program to stop; 0 if none has.
  package static var signal: Int32 { received.load(ordering: .relaxed) }

  /// Whether somebody has asked the program to stop.
  package static var isRequested: Bool { signal != 0 }

  /// Turns the first signal into `isRequested`; a second one ends the program at once.
  ///
  /// - Parameter message: Written to standard error at the first signal.
  package static func handle(message: String) {
    for number in [SIGINT, SIGTERM] {
      Foundation.signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler {
        // The handler keeps its source alive for the life of the program.
        withExtendedLifetime(source) {}
        if received.exchange(number, ordering: .relaxed) != 0 { Foundation.exit(128 + number) }
        Terminal.note(message)
      }
      source.resume()
    }
  }
}

/// SIGINT as the wish to stop what is going on, not the program.
package enum Break {
  private static let wanted = Atomic<Bool>(false)

  /// From now on SIGINT ends no program, but a read that waits.
  package static func handle() {
    // Made before a handler may touch it.
    wanted.store(false, ordering: .relaxed)
    var action = sigaction()
    action.__sigaction_handler = .init(
      sa_handler: { _ in Break.wanted.store(true, ordering: .relaxed) })
    sigemptyset(&action.sa_mask)
    // Without SA_RESTART.
    action.sa_flags = 0
    sigaction(SIGINT, &action, nil)
  }

  /// Whether somebody has asked since `take` was last called.
  package static var isRequested: Bool { wanted.load(ordering: .relaxed) }

  /// Whether somebody has asked since the last time.
  package static func take() -> Bool { wanted.exchange(false, ordering: .relaxed) }
}
