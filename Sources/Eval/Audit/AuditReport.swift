/// One property that a model must have, how often it was tested, and the failures.
package struct AuditCheck: Sendable, Equatable, Encodable {
  /// A few words, for the left column of a table.
  package let name: String
  /// The property, in one sentence.
  package let requirement: String
  /// Comparisons made.
  package private(set) var comparisons = 0
  package private(set) var failures = 0
  /// The first failure.
  package private(set) var firstFailure: String?

  package init(name: String, requirement: String) {
    self.name = name
    self.requirement = requirement
  }

  /// Whether it was tested and never failed.
  package var passed: Bool { failures == 0 && comparisons > 0 }

  /// Counts comparisons and the failures among them; `failure` describes the first.
  mutating func record(_ count: Int = 1, failures: Int = 0, _ failure: () -> String = { "" }) {
    comparisons += count
    guard failures > 0 else { return }
    if firstFailure == nil { firstFailure = failure() }
    self.failures += failures
  }
}

/// All checks of one audit.
package struct AuditReport: Sendable, Equatable, Encodable {
  /// What was audited, for example the attention as `--attention` takes it.
  package let subject: String
  package let sequences: Int
  /// Tokens of all sequences together.
  package let tokens: Int
  package let checks: [AuditCheck]

  package var passed: Bool { !checks.isEmpty && checks.allSatisfy(\.passed) }
}
