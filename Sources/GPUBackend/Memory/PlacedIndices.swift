package import Tensor

/// Whole numbers in a card's memory.
final class PlacedIndices: @unchecked Sendable {
  /// The first number; written before anybody else has this object.
  let address: UnsafeMutableRawPointer
  private let bytes: Int
  private let driver: any GPUDriver
  /// What follows from the numbers.
  let plans = PlanCache()

  init(_ numbers: [Int32], _ driver: any GPUDriver) throws(DeviceError) {
    bytes = max(4 * numbers.count, 4)
    self.driver = driver
    address = try driver.allocate(bytes: bytes)
    numbers.withUnsafeBytes { driver.copyIn($0, to: address) }
  }

  deinit { driver.free(address, bytes: bytes) }
}

extension GPUKernels {
  package func place(_ numbers: [Int32]) throws(DeviceError) -> Indices {
    Indices(numbers, memory: try PlacedIndices(numbers, driver))
  }
}

extension Indices {
  /// The first number on the card.
  var address: UnsafeMutableRawPointer { placed.address }

  /// What follows from the numbers.
  var plans: PlanCache { placed.plans }

  private var placed: PlacedIndices {
    guard let placed = memory as? PlacedIndices else {
      preconditionFailure("whole numbers that no card has")
    }
    return placed
  }
}
