import Foundation

/// A value that is made when it is first asked for; others who ask meanwhile wait.
///
/// Unchecked because `made` is touched under the lock alone. An `NSLock`: the thread sanitizer knows
/// nothing of `Mutex` on Linux.
final class Once<Value: Sendable>: @unchecked Sendable {
  private let lock = NSLock()
  private var made: Value?

  /// - Parameter make: Must not ask for the same value.
  func callAsFunction(_ make: () -> Value) -> Value {
    lock.withLock {
      if let made { return made }
      let value = make()
      made = value
      return value
    }
  }
}
