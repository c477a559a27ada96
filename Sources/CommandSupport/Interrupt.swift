import Foundation
import Synchronization

/// SIGINT and SIGTERM as a question that a loop asks.
package enum Interrupt {
  private static let flag = Atomic<Bool>(false)

  /// Whether somebody has asked the program to stop.
  package static var isRequested: Bool { flag.load(ordering: .relaxed) }

  /// Turns the first signal into `isRequested`; a second one ends the program at once.
  ///
  /// - Parameter message: Written to standard error at the first signal.
  package static func handle(message: String) {
    for number in [SIGINT, SIGTERM] {
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler {
        // The handler keeps its source alive for the life of the program.
        withExtendedLifetime(source) {}
        if flag.exchange(true, ordering: .relaxed) { Foundation.exit(128 + number) }
        Terminal.note(message)
      }
      source.resume()
    }
  }
}
