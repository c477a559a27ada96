import Backends
import Deterministic
import Tensor

/// Where everything is timed.
let benchKernels = Backend.ofThisProcessor

/// A matrix of normal numbers of the given standard deviation.
func randomView(
  _ rows: Int, _ columns: Int, deviation: Double, from random: CounterRandom
) throws(DeviceError) -> View {
  let view = try benchKernels.makeView(rows: rows, columns: columns)
  try benchKernels.write(random.gaussians(0..<view.count, deviation: deviation), to: view)
  return view
}
