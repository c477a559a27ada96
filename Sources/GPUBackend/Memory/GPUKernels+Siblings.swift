package import Tensor

/// Work beside other work, such as the exchange of gradients beside a backward pass.
extension GPUKernels {
  package func makeSibling() throws(DeviceError) -> any Kernels {
    GPUKernels(try driver.makeSibling(), precision: precision)
  }

  package func mark() throws(DeviceError) -> WorkMark? { try driver.mark() }

  package func follow(_ mark: WorkMark?) { driver.follow(mark) }
}
