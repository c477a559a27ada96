import Tensor

/// Blocks and rows of every level for one length.
struct HierarchicalLevels {
  let length: Int
  let blockSize: Int
  let blocks: Int
  /// Highest level any query uses.
  let top: Int

  init(length: Int, blockSize: Int) {
    self.length = length
    self.blockSize = blockSize
    blocks = (length + blockSize - 1) / blockSize
    top = blocks < 2 ? 0 : Self.floorLog2(blocks - 1)
  }

  /// Left blocks in use at a level above 0; all their groups are complete.
  func leftBlocks(_ level: Int) -> Int { (blocks - 1) >> level }

  /// Key rows kept at a level.
  func keyRows(_ level: Int) -> Int { level == 0 ? length : leftBlocks(level) * blockSize }

  /// Query rows of a level; the last may stand for fewer than 2^level tokens.
  func queryRows(_ level: Int) -> Int { ((length - 1) >> level) + 1 }

  /// Highest level that tokens of a block use.
  static func topLevel(block: Int) -> Int { block < 1 ? 0 : floorLog2(block) }

  /// Key rows of the left block that tokens of `block` see at a level above 0.
  func visibleKeys(block: Int, level: Int) -> Int {
    block >> (level - 1) & 1 == 1 ? blockSize : blockSize / 2
  }

  /// Logit of a key row's multiplicity, `level · ln 2`.
  static func multiplicity(_ level: Int) -> Float { Float(level) * 0.693_147_18 }

  private static func floorLog2(_ value: Int) -> Int {
    Int.bitWidth - 1 - value.leadingZeroBitCount
  }

  /// Positions the backward pass takes at a time: a block of level `lowTop`.
  ///
  /// So few that what they touch at the levels up to that one stays in L2.
  var segment: Int { blockSize << lowTop }

  /// Highest level that a segment holds whole blocks of, whatever the length.
  var lowTop: Int { Self.floorLog2(max(1, 128 / blockSize)) }

  /// Levels above 0 with blocks inside a segment.
  var lowLevels: Range<Int> { 1..<min(lowTop, top) + 1 }

  /// Levels above those.
  var highLevels: Range<Int> { lowLevels.upperBound..<top + 1 }

  /// Positions of a segment.
  func range(segment index: Int) -> Range<Int> {
    index * segment..<min(length, (index + 1) * segment)
  }

  /// First row of a level where those of a segment lie one after another.
  func slabOffset(_ level: Int) -> Int { 2 * segment - (2 * segment >> level) }

  /// Rows of a segment at all its levels.
  var slabRows: Int { slabOffset(lowTop + 1) }

  /// First key row of a level where those above a segment's lie one after another.
  func highOffset(_ level: Int) -> Int {
    highLevels.prefix { $0 < level }.reduce(0) { $0 + keyRows($1) }
  }

  /// First query row of a level where those above a segment's lie one after another.
  func highQueryOffset(_ level: Int) -> Int {
    highLevels.prefix { $0 < level }.reduce(0) { $0 + queryRows($1) }
  }

  /// Key rows of a level that positions `range` complete.
  func completed(_ level: Int, by range: Range<Int>) -> Range<Int> {
    min(range.lowerBound >> level, keyRows(level))..<min(range.upperBound >> level, keyRows(level))
  }
}
