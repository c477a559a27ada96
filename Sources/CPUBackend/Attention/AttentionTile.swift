import Tensor

/// Sizes shared by all attention kernels.
///
/// The lanes of a vector are queries: scores are computed as `[keys, 16 queries]`, so that maxima,
/// sums and rescaling of 16 rows need no horizontal step, and a row's operations run in the order
/// of its keys wherever the row stands in its panel. Decoding computes one row by the same sums.
enum AttentionTile {
  /// Query rows of one panel: two vectors of lanes.
  static let rows = 16
  /// Keys between two rescalings of the online softmax, counted from the first key of a range.
  ///
  /// Part of the numerical definition: decoding must cut at the same keys.
  static let keys = 128
  /// Query rows of one tile of the backward pass.
  static let backwardRows = 64
  /// Keys of one tile of the backward pass.
  static let backwardKeys = 64
  /// A task covers whole sequences of at least this many positions together.
  static let taskPositions = 512

  /// Width of a packed row: whole panels of 16 columns.
  static func padded(_ width: Int) -> Int { (width + 15) / 16 * 16 }
}
