import Synchronization
package import Tensor

/// Work beside other work, such as the exchange of gradients beside a backward pass.
extension GPUKernels {
  package func makeSibling() throws(DeviceError) -> any Kernels {
    GPUKernels(try driver.makeSibling(), precision: precision)
  }

  /// Does two pieces of work, neither of which writes what the other touches: on a card side by side, as
  /// far as there is room, elsewhere one after the other.
  ///
  /// - Parameters:
  ///   - short: Few blocks, which leave most of the card idle; on the driver that it is given.
  ///   - long: The rest.
  func together(_ short: (any GPUDriver) -> Void, with long: () -> Void) {
    guard GPUScratch.recorder == nil, let side = sideline.driver() else {
      short(driver)
      return long()
    }
    do throws(DeviceError) {
      side.follow(try driver.mark())
      short(side)
      long()
      driver.follow(try side.mark())
      try side.check()
    } catch {
      driver.fail(error)
    }
  }

  package func mark() throws(DeviceError) -> WorkMark? { try driver.mark() }

  package func follow(_ mark: WorkMark?) { driver.follow(mark) }
}

/// A driver of the same card whose work runs beside that of the first; made when it is first wanted.
final class Sideline: Sendable {
  private let main: any GPUDriver
  private let side = Mutex<(any GPUDriver)?>(nil)

  init(_ main: any GPUDriver) { self.main = main }

  /// Nil where the card has no room for one more, and work is done in line.
  func driver() -> (any GPUDriver)? {
    side.withLock { side in
      if side == nil { side = try? main.makeSibling() }
      return side
    }
  }
}
