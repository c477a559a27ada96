import Foundation
import Synchronization

/// How far a long piece of work is.
///
/// One redrawn line on a terminal, a plain line now and then elsewhere; any thread may report.
package final class Progress: Sendable {
  private struct State {
    var done = 0.0
    var drawn = 0.0
  }

  private let title: String
  private let total: Double?
  private let rate: @Sendable (Double) -> String
  private let began = Progress.now()
  private let state = Mutex(State())

  /// - Parameters:
  ///   - title: What is being done.
  ///   - total: Units of the whole work, if they are known.
  ///   - rate: Formats units per second, for example `12.3 MB/s`.
  package init(
    _ title: String, total: Double?, rate: @escaping @Sendable (Double) -> String
  ) {
    self.title = title
    self.total = total
    self.rate = rate
    if !Terminal.isInteractive { Terminal.note(title) }
  }

  private static func now() -> Double {
    Double(DispatchTime.now().uptimeNanoseconds) * 1e-9
  }

  /// Adds units done since the last call; 0 only redraws.
  package func advance(_ units: Double) {
    let now = Self.now()
    let line: String? = state.withLock { state in
      state.done += units
      guard now - state.drawn >= (Terminal.isInteractive ? 0.1 : 10) else { return nil }
      // The first plain line comes after an interval, not at once.
      let isFirst = state.drawn == 0 && !Terminal.isInteractive
      state.drawn = isFirst && now - began < 10 ? 0 : now
      return state.drawn == 0 ? nil : describe(state.done, seconds: now - began)
    }
    guard let line else { return }
    if Terminal.isInteractive { StatusLine.shared.show(line) } else { Terminal.note(line) }
  }

  /// Writes one line about the whole work.
  package func finish() {
    let seconds = Self.now() - began
    let done = state.withLock { $0.done }
    var line = "\(title): \(Format.duration(seconds))"
    if done > 0 { line += ", \(rate(done / max(seconds, 1e-9)))" }
    Terminal.note(line)
  }

  private func describe(_ done: Double, seconds: Double) -> String {
    var parts = [Format.duration(seconds)]
    if done > 0 { parts.append(rate(done / max(seconds, 1e-9))) }
    guard let total, total > 0 else { return "\(title)  " + parts.joined(separator: ", ") }
    let share = min(1, done / total)
    if done > 0 { parts.append("\(Format.duration(seconds * (1 / share - 1))) left") }
    let bar = Terminal.isInteractive ? Terminal.bar(share) + " " : ""
    return "\(title)  \(bar)\(Int(share * 100)) %, " + parts.joined(separator: ", ")
  }
}

extension Terminal {
  /// A bar that is full at 1, for standard error.
  package static func bar(_ share: Double, columns: Int = 24) -> String {
    let full = Int(min(max(share, 0), 1) * Double(columns))
    return "[" + styled(String(repeating: "=", count: full), .cyan, on: .errors)
      + String(repeating: " ", count: columns - full) + "]"
  }
}
