package import Tensor

extension OracleKernels {
  package func moveAverage(_ average: View, towards x: View, share: Float) {
    average.values = zip(average.values, x.values).map { $0 + Double(share) * ($1 - $0) }
  }
}
