package import Tensor

extension OracleKernels {
  package func sumOfSquares(_ x: View) -> Double { x.values.reduce(0) { $0 + $1 * $1 } }
}
