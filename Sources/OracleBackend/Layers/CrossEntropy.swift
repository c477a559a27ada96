import Foundation
import Host
package import Tensor

extension ReferenceKernels {
  /// `nll[n] = ln Σ_v exp(logits[n, v]) - logits[n, targets[n]]`, as one row.
  package static func crossEntropy(hidden: Matrix, w: Matrix, targets: [Int32]) -> Matrix {
    let logits = linear(x: hidden, w: w)
    var nll = Matrix(rows: 1, columns: hidden.rows)
    for n in 0..<hidden.rows {
      nll[0, n] = logarithmOfSum(logits.row(n)) - logits[n, Int(targets[n])]
    }
    return nll
  }

  /// `dLogits[n, v] = scale · (softmax(logits)[n, v] - (v == targets[n]))`, and from it both factors.
  static func crossEntropyBackward(
    hidden: Matrix, w: Matrix, targets: [Int32], scale: Double
  ) -> (dHidden: Matrix, dw: Matrix) {
    var dLogits = linear(x: hidden, w: w)
    for n in 0..<hidden.rows {
      let sum = logarithmOfSum(dLogits.row(n))
      for v in 0..<w.rows {
        let probability = exp(dLogits[n, v] - sum)
        dLogits[n, v] = scale * (probability - (v == Int(targets[n]) ? 1 : 0))
      }
    }
    return (
      linearBackwardInput(dy: dLogits, w: w), linearBackwardWeight(dy: dLogits, x: hidden)
    )
  }

  /// `ln Σ exp(x)`.
  private static func logarithmOfSum(_ x: ArraySlice<Double>) -> Double {
    let peak = x.reduce(-Double.infinity) { max($0, $1) }
    return peak + log(x.reduce(0) { $0 + exp($1 - peak) })
  }
}

extension OracleKernels {
  package func crossEntropyForward(nllNats: View, hidden: View, w: View, targets: Indices) {
    ReferenceKernels.crossEntropy(
      hidden: Matrix(of: hidden), w: Matrix(of: w), targets: targets.numbers
    ).write(to: nllNats)
  }

  package func crossEntropyForwardBackward(
    nllNats: View, dHidden: View, dw: View, hidden: View, w: View, targets: Indices,
    gradientScale: Float
  ) {
    crossEntropyForward(nllNats: nllNats, hidden: hidden, w: w, targets: targets)
    let gradients = ReferenceKernels.crossEntropyBackward(
      hidden: Matrix(of: hidden), w: Matrix(of: w), targets: targets.numbers,
      scale: Double(gradientScale))
    gradients.dHidden.write(to: dHidden)
    gradients.dw.add(to: dw)
  }
}
