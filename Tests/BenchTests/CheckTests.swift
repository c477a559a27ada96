import Bench
import Testing

/// The checks that read nothing but what they make themselves; `lm-bench check` runs all, alone in
/// its process, and `--faults` puts every fault.
struct CheckTests {
  static let pure = ["FLOPs", "hierarchical work", "decode state"]

  @Test func namesAreUnique() throws {
    let names = try Check.all().map(\.name)
    #expect(Set(names).count == names.count && names.count > 30)
  }

  @Test func theyHoldAndFindTheirFaults() throws {
    let checks = try Check.all().filter { check in
      Self.pure.contains { check.name.hasPrefix($0) }
    }
    #expect(checks.count == 6)
    for check in checks {
      let outcome = try check.run(false)
      #expect(outcome.holds, "\(check.name): \(outcome)")
      let fault = try check.run(true)
      #expect(!fault.holds, "\(check.name): \(fault)")
    }
  }
}
