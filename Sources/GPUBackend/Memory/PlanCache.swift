import Foundation

/// What operations have worked out for one batch, kept as long as the batch.
final class PlanCache: @unchecked Sendable {
  private let lock = NSLock()
  private var plans: [AnyHashable: any Sendable] = [:]  // touched under `lock` alone

  /// The plan of a key, made when it is first asked for; nil if that fails.
  func plan<Plan: Sendable>(_ key: some Hashable & Sendable, make: () -> Plan?) -> Plan? {
    lock.withLock {
      if let plan = plans[AnyHashable(key)] as? Plan { return plan }
      let plan = make()
      if let plan { plans[AnyHashable(key)] = plan }
      return plan
    }
  }
}
