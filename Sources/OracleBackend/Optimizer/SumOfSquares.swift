package import Tensor

extension OracleKernels {
  package func sumOfSquares(_ x: View) -> Double {
    let values = x.values
    return stride(from: 0, to: values.count, by: Squares.run).reduce(0) { sum, first in
      sum + values[first..<min(values.count, first + Squares.run)].reduce(0) { $0 + $1 * $1 }
    }
  }
}
