import Tensor

extension GPUKernels {
  /// What `body` makes, or nil after it has told the driver of its error.
  func attempt<Result>(_ body: () throws(DeviceError) -> Result) -> Result? {
    do throws(DeviceError) {
      return try body()
    } catch {
      driver.fail(error)
      return nil
    }
  }
}
