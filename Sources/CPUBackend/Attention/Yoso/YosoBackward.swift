import Tensor

/// How the gradients of queries and keys under sampled weights are summed; the same numbers.
package enum YosoBackwardForm: Sendable, CaseIterable {
  /// All causal pairs by dense tiles, weighted with their collision counts.
  case tiles
  /// The colliding pairs alone, one after the other.
  case pairs
}

/// Backward pass over the sequences of one task and one head.
///
///     dV = Wᵀ dX        dQ = S K        dK = Sᵀ Q        S = slope(W) · (dX Vᵀ)
///
/// with Q, K and their gradients at unit length. For sampled weights dV is exact and comes from a
/// scan of the tables in reverse; the slope is the lower bound bits / 2 · W (version 1 of the
/// authors' code), estimated with the same collisions as the forward pass.
struct YosoBackward {
  /// Share of the causal pairs that may collide before dense tiles are faster than single pairs.
  static let pairDensity = 0.25

  private let shape: YosoShape
  private let form: YosoBackwardForm?
  let rows: YosoGradientRows
  private let tile: YosoBackwardTile
  private let scan: YosoScan?
  private let counts: YosoCounts?
  private let pairs: YosoPairs?

  init(
    _ shape: YosoShape, _ widths: HeadShape, longest: Int, form: YosoBackwardForm?,
    _ scratch: inout Scratch
  ) {
    self.shape = shape
    self.form = form
    rows = YosoGradientRows(widths, longest: longest, &scratch)
    tile = YosoBackwardTile(shape, rows, &scratch)
    let isRandom = shape.isRandom
    scan =
      isRandom ? YosoScan(shape, longest: longest, stride: widths.valueStride, &scratch) : nil
    counts = isRandom ? YosoCounts(shape, longest: longest, &scratch) : nil
    pairs = isRandom ? YosoPairs(shape, rows, longest: longest, &scratch) : nil
  }

  /// What the slopes so far lack.
  var slopeFactor: Float { shape.slope == .lower ? Float(shape.bits) / 2 : 1 }

  /// Fills the gradients of `rows`, which hold a sequence.
  func run(codes: YosoCodes, length: Int) {
    if let scan, let counts, let pairs {
      let isHybrid = shape.estimate == .hybrid
      scan.run(
        sums: rows.valueGradients, source: rows.gradients, codes: codes,
        order: .init(length: length, chunk: isHybrid ? shape.chunk : 0, isReversed: true))
      let window = isHybrid ? YosoWindow.far(chunk: shape.chunk) : .causal
      switch form ?? cheaper(pairs, codes, length: length, window: window) {
      case .tiles:
        counts.pack(codes, length: length)
        tile.run(length: length, window: window, counts: counts)
      case .pairs:
        pairs.run(codes, length: length, window: window)
      }
    }
    if shape.estimate != .sampled {
      tile.run(length: length, window: shape.window, counts: nil)
    }
  }

  /// The choice depends on the codes alone.
  private func cheaper(
    _ pairs: YosoPairs, _ codes: YosoCodes, length: Int, window: YosoWindow
  ) -> YosoBackwardForm {
    let collisions = pairs.collisions(codes, length: length, window: window)
    let dense = Double(length) * Double(length + 1) / 2
    return Double(collisions) <= Self.pairDensity * dense ? .pairs : .tiles
  }
}
