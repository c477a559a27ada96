package import Deterministic
import Host
package import Tensor

extension ReferenceKernels {
  /// Whether dropout keeps an element, as ``Kernels/dropout(x:probability:random:rowOffset:)`` says.
  static func keeps(
    row: Int, column: Int, probability: Float, random: CounterRandom
  ) -> Bool {
    let k = random.bits(UInt64(row))
    let (low, high) = (UInt32(truncatingIfNeeded: k), UInt32(k >> 32))
    var h = UInt32(column) &* 0x9E37_79B1 &+ low
    h = ((h ^ (h >> 16)) &* 0x85EB_CA6B) ^ high
    h = (h ^ (h >> 13)) &* 0xC2B2_AE35
    h = (h ^ (h >> 16)) >> 8
    return Double(h) >= (Double(probability) * 0x1p24).rounded()
  }
}

extension OracleKernels {
  package func dropout(x: View, probability: Float, random: CounterRandom, rowOffset: Int) {
    precondition(
      probability >= 0 && probability < 1, "dropout probability \(probability) is not in [0, 1)")
    if probability == 0 { return }
    var result = Matrix(of: x)
    for n in 0..<x.rows {
      for c in 0..<x.columns {
        let isKept = ReferenceKernels.keeps(
          row: rowOffset + n, column: c, probability: probability, random: random)
        result[n, c] = isKept ? result[n, c] / (1 - Double(probability)) : 0
      }
    }
    result.write(to: x)
  }
}
