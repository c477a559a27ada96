/// One thing that was required of a model, how often it was tried, and what came of it.
package struct AuditCheck: Sendable, Equatable, Encodable {
  /// A few words, for the left column of a table.
  package let name: String
  /// What had to hold, in one sentence.
  package let requirement: String
  /// Comparisons made.
  package private(set) var comparisons = 0
  package private(set) var failures = 0
  /// The first thing that did not hold.
  package private(set) var firstFailure: String?

  package init(name: String, requirement: String) {
    self.name = name
    self.requirement = requirement
  }

  /// Something was tried and nothing went wrong.
  package var passed: Bool { failures == 0 && comparisons > 0 }

  /// Counts comparisons, the failed ones among them described by the first.
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
  /// Pieces of all sequences together.
  package let pieces: Int
  package let checks: [AuditCheck]

  package var passed: Bool { !checks.isEmpty && checks.allSatisfy(\.passed) }
}
