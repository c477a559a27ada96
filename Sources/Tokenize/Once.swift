import Synchronization

/// A value that is made when it is first asked for; others who ask meanwhile wait.
final class Once<Value: Sendable>: Sendable {
  private let made = Mutex<Value?>(nil)

  /// - Parameter make: Must not ask for the same value.
  func callAsFunction(_ make: () -> Value) -> Value {
    made.withLock { made in
      if let made { return made }
      let value = make()
      made = value
      return value
    }
  }
}
