import Foundation
import Synchronization

/// A terminal that hands over every key as it is pressed and shows none by itself.
///
/// Ctrl-C stays a signal. A signal that ends the program puts the terminal back first.
struct KeyMode {
  /// The terminal as it was found; for the handler of signals, in memory of its own.
  nonisolated(unsafe) private static let found: UnsafeMutablePointer<termios> = {
    let pointer = UnsafeMutablePointer<termios>.allocate(capacity: 1)
    pointer.initialize(to: termios())
    return pointer
  }()
  private static let isOn = Atomic<Bool>(false)

  /// - Throws: `CommandError` if the terminal cannot be set.
  init() throws {
    _ = Self.handleSignals
    guard tcgetattr(STDIN_FILENO, Self.found) == 0 else { throw Self.error }
    try Self.enter()
  }

  /// Puts the terminal back.
  func leave() { Self.restore() }

  /// Stops the program as Ctrl-Z does elsewhere, and goes on once it is continued.
  func suspend() {
    Self.restore()
    raise(SIGTSTP)
    try? Self.enter()
  }

  private static func enter() throws {
    var mode = found.pointee
    mode.c_lflag &= ~tcflag_t(ICANON | ECHO | IEXTEN)
    // Ctrl-Z comes as a key, so that the terminal can be put back before the program stops.
    withUnsafeMutableBytes(of: &mode.c_cc) { keys in
      keys[Int(VSUSP)] = 0
      keys[Int(VMIN)] = 1
      keys[Int(VTIME)] = 0
    }
    isOn.store(true, ordering: .sequentiallyConsistent)
    guard tcsetattr(STDIN_FILENO, TCSADRAIN, &mode) == 0 else { throw error }
  }

  private static func restore() {
    if isOn.exchange(false, ordering: .sequentiallyConsistent) {
      tcsetattr(STDIN_FILENO, TCSADRAIN, found)
    }
  }

  private static var error: CommandError {
    CommandError("could not set the terminal: \(String(cString: strerror(errno)))")
  }

  private static let handleSignals: Void = {
    _ = found
    for signal in [SIGTERM, SIGHUP, SIGQUIT] {
      var action = sigaction()
      sigaction(signal, nil, &action)
      // What is ignored stays ignored.
      if unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1 { continue }
      action.__sigaction_handler = .init(
        sa_handler: { number in
          if KeyMode.isOn.load(ordering: .sequentiallyConsistent) {
            tcsetattr(STDIN_FILENO, TCSANOW, KeyMode.found)
          }
          Foundation.signal(number, SIG_DFL)
          raise(number)
        })
      sigemptyset(&action.sa_mask)
      action.sa_flags = 0
      sigaction(signal, &action, nil)
    }
  }()
}
