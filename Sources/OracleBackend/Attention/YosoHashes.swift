import Deterministic
import Foundation
import Tensor

/// Hyperplanes of one head and the hash codes that follow from them.
struct YosoHashes {
  /// Normal vectors: bit t of hash h in row `h · bits + t`, `[hashes · bits][D]`.
  let planes: [[Double]]

  /// Nothing for the expectation, which draws no random numbers.
  ///
  /// - Parameters:
  ///   - shape: Hashes and bits.
  ///   - inputs: The head, its layer and where its random numbers come from.
  ///   - given: Hyperplanes of all heads in place of those that are drawn.
  init(_ shape: YosoShape, _ inputs: HeadInputs, given: View?) {
    let count = shape.isRandom ? shape.hashes * shape.bits : 0
    if let given {
      planes = given.rows(inputs.head * count..<(inputs.head + 1) * count).nested
      return
    }
    let random = inputs.draw.planes(layer: inputs.layer, head: inputs.head)
    let width = inputs.q.first?.count ?? 0
    /// Uniform in [0, 1), 23 bits.
    func uniform(_ index: Int) -> Double { Double(random.bits(UInt64(index)) >> 41) * 0x1p-23 }
    planes = (0..<count).map { plane in
      (0..<width).map { column in
        let index = plane * width + column
        let pair = index - index % 2
        let radius = (-2 * log(1 - uniform(pair))).squareRoot()
        let angle = 2 * Double.pi * uniform(pair + 1)
        return radius * (index == pair ? cos(angle) : sin(angle))
      }
    }
  }

  /// Codes of rows, `[hashes][L]`: a bit is set where the row lies on the side that the normal shows to.
  func codes(_ rows: [[Double]], bits: Int) -> [[Int]] {
    stride(from: 0, to: planes.count, by: bits).map { first in
      rows.map { row in
        (0..<bits).reduce(0) { $0 | (dot(row, planes[first + $1]) > 0 ? 1 << $1 : 0) }
      }
    }
  }

  /// Where the weights of pairs come from.
  func weights(_ shape: YosoShape, _ inputs: HeadInputs) -> ReferenceYosoAttention.Weights {
    let (queries, keys) = (codes(inputs.q, bits: shape.bits), codes(inputs.k, bits: shape.bits))
    return switch shape.estimate {
    case .expectation: .expectation
    case .sampled: .sampled(queries: queries, keys: keys)
    case .hybrid: .hybrid(queries: queries, keys: keys, chunk: shape.chunk)
    }
  }
}
