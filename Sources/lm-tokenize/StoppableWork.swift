import ArgumentParser
import CommandSupport
import Foundation
import Storage
import Synchronization
import Tokenize

/// Work that ends within a second once the user asks for it, whatever it is doing.
///
/// Mostly it asks by itself whether to go on. But libsentencepiece asks nobody while it trains a
/// tokenizer, nor does a read from a pipe to which nobody writes; then the program ends beneath it.
/// Nothing is at stake: what is not complete has only a temporary name, and goes.
enum StoppableWork {
  /// How long the work may take to end by itself.
  private static let patience = Duration.milliseconds(400)

  /// Runs the work on a thread of its own.
  ///
  /// - Throws: What the work throws, or the exit code of the signal that stopped it.
  static func run<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) throws -> Value {
    let result = Mutex<Result<Value, any Error>?>(nil)
    let isDone = DispatchSemaphore(value: 0)
    let thread = Thread {
      let outcome = Result { try work() }
      result.withLock { $0 = outcome }
      isDone.signal()
    }
    thread.stackSize = 8 << 20
    thread.start()
    var asked: ContinuousClock.Instant?
    while isDone.wait(timeout: .now() + .milliseconds(50)) == .timedOut {
      guard Interrupt.isRequested else { continue }
      let since = asked ?? .now
      asked = since
      if since.duration(to: .now) > patience { leave() }
    }
    guard let outcome = result.withLock({ $0 }) else { throw TokenizerError.interrupted }
    do {
      return try outcome.get()
    } catch TokenizerError.interrupted where Interrupt.isRequested {
      sayWhy()
      throw ExitCode(128 + Interrupt.signal)
    }
  }

  /// Ends the program while its threads go on: without what the library does at a normal end, which
  /// would take its memory from under them.
  private static func leave() -> Never {
    Unfinished.remove()
    sayWhy()
    _exit(128 + Interrupt.signal)
  }

  private static func sayWhy() {
    Terminal.note("lm-tokenize: \(TokenizerError.interrupted)")
  }
}
