import Backends
import Tensor

/// A statement about the program that holds on any machine, however busy it is.
package struct Check: Sendable {
  /// What was found.
  package struct Outcome: Sendable, Equatable {
    package let found: String
    package let expected: String
    package let holds: Bool

    package init(found: String, expected: String, holds: Bool) {
      self.found = found
      self.expected = expected
      self.holds = holds
    }
  }

  package let name: String
  /// Finds out; with a fault put where it looks, it must not hold.
  package let run: @Sendable (_ withFault: Bool) throws -> Outcome

  package init(_ name: String, _ run: @escaping @Sendable (_ withFault: Bool) throws -> Outcome) {
    self.name = name
    self.run = run
  }

  /// Where the checks run.
  static let kernels = Backend.ofThisProcessor

  /// All there are, in the order of the report.
  package static func all() throws -> [Check] {
    work + (try memory()) + threads + decoding + start + text
  }
}
