/// Bias tables of one head, the multiplicity of each level added, and their gradient.
///
/// A query row per lane (level 0, coarse queries) reads the table by distance. With fine queries
/// 2^l neighbouring tokens share a row of level l, so the lanes of a panel do not step through
/// distances one by one; those levels have tables with a row of 16 lanes for every distance.
struct HierarchicalBias {
  private let bias: UnsafePointer<Float>  // [2 · blockSize]
  private let blockSize: Int
  private let levels: Int
  private let byDistance: UnsafeMutablePointer<Float>  // [levels, 16 + distances + 16]
  private let byLane: UnsafeMutablePointer<Float>?  // [levels - 1, distances, 16]
  private let gradient: UnsafeMutablePointer<Float>?  // [16 + distances, 16]
  private let laneGradients: UnsafeMutablePointer<Float>?  // [levels - 1, 16 + distances, 16]

  private var distances: Int { 2 * blockSize }
  private var plainStride: Int { distances + 32 }
  private var laneStride: Int { distances * 16 }
  private var gradientStride: Int { (distances + 16) * 16 }
  /// Whether every panel starts at a multiple of 16 tokens, so that lanes group alike in all.
  private var isAligned: Bool { blockSize % 16 == 0 }

  init(
    _ bias: UnsafePointer<Float>, _ longest: HierarchicalLevels, fineQuery: Bool, gradient: Bool,
    _ scratch: inout Scratch
  ) {
    self.bias = bias
    blockSize = longest.blockSize
    levels = longest.top + 1
    let distances = 2 * blockSize
    byDistance = scratch.take(levels * (distances + 32))
    let lanes = (distances + 16) * 16
    byLane = fineQuery ? scratch.take((levels - 1) * distances * 16) : nil
    self.gradient = gradient ? scratch.take(lanes) : nil
    laneGradients = fineQuery && gradient ? scratch.take((levels - 1) * lanes) : nil
  }

  /// Fills the tables and clears the gradients.
  func fill() {
    for level in 0..<levels {
      fillBiasTable(
        byDistance + level * plainStride, bias, count: distances,
        offset: HierarchicalLevels.multiplicity(level))
    }
    gradient?.update(repeating: 0, count: gradientStride)
    laneGradients?.update(repeating: 0, count: (levels - 1) * gradientStride)
    if byLane != nil && isAligned {
      for level in 1..<levels { fillLanes(level, token: 0) }
    }
  }

  /// Bias of query rows that follow one another at a level.
  ///
  /// - Parameter distance: Rows from key 0 of the range to the first query row.
  func rows(level: Int, distance: Int) -> LaneBias {
    LaneBias(
      table: byDistance + level * plainStride + 16, gradient: gradient.map { $0 + 256 }, step: 1,
      origin: distance, start: 0, shift: 0, last: distances - 1)
  }

  /// Bias of tokens from `token` on, each asking for itself at a level above 0.
  ///
  /// - Parameter key: Row number of key 0 of the range.
  func tokens(level: Int, token: Int, key: Int) -> LaneBias {
    guard let byLane else { preconditionFailure("tables were made for coarse queries") }
    if !isAligned { fillLanes(level, token: token) }
    return LaneBias(
      table: byLane + (level - 1) * laneStride,
      gradient: laneGradients.map { $0 + (level - 1) * gradientStride + 256 }, step: 16,
      origin: -key, start: token, shift: level, last: distances - 1)
  }

  /// Adds the gradient of a table that holds for one panel alone to the common one.
  func leave(level: Int, token: Int, into destination: UnsafeMutablePointer<Float>) {
    guard let laneGradients, !isAligned else { return }
    let table = laneGradients + (level - 1) * gradientStride
    foldBiasGradient(destination, table, count: distances, shift: level, phase: token)
    table.update(repeating: 0, count: gradientStride)
  }

  /// Adds the gradients of all tables to the gradient by distance, `[2 · blockSize]`.
  func finishGradient(_ destination: UnsafeMutablePointer<Float>) {
    guard let gradient else { return }
    foldBiasGradient(destination, gradient, count: distances)
    guard let laneGradients, isAligned else { return }
    for level in 1..<levels {
      foldBiasGradient(
        destination, laneGradients + (level - 1) * gradientStride, count: distances, shift: level)
    }
  }

  private func fillLanes(_ level: Int, token: Int) {
    guard let byLane else { return }
    let table = byLane + (level - 1) * laneStride
    let offset = HierarchicalLevels.multiplicity(level)
    for distance in 0..<distances {
      for lane in 0..<16 {
        let delta = distance + ((token + lane) >> level) - (token >> level)
        table[16 * distance + lane] = bias[min(delta, distances - 1)] + offset
      }
    }
  }
}
