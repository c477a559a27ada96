import ArgumentParser
import Backends
import Tensor

/// Where something is measured, and in which numbers.
struct PlaceOptions: ParsableArguments {
  @Option(help: "cpu, cuda (the first card), cuda:N, or auto: a card if there is one that works.")
  var device = "cpu"
  @Option(help: "What products read and write: float32, or bfloat16.")
  var precision = Precision.float32

  /// Kernels of the device.
  ///
  /// - Throws: `DeviceError` if this machine has no such device, or the device no such products.
  func kernels() throws(DeviceError) -> any Kernels {
    try Backend.named(device).makeKernels(precision)
  }
}

extension Precision: ExpressibleByArgument {
  package init?(argument: String) { self.init(named: argument) }
}
