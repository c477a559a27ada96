import Tensor

/// Complete blocks of every level of a sequence.
struct DyadicBlocks {
  let length: Int
  /// Highest level with a block that has a successor; 0 if there is none above single tokens.
  let top: Int

  init(length: Int) {
    self.length = length
    top = length < 3 ? 0 : Int.bitWidth - 1 - (length - 1).leadingZeroBitCount
  }

  func count(_ level: Int) -> Int { length >> level }

  /// Row of the first block of a level where levels 1, 2, … lie one after another.
  func offset(_ level: Int) -> Int { (1..<max(level, 1)).reduce(0) { $0 + count($1) } }

  /// Rows of all levels above 0, fewer than the positions.
  var rows: Int { offset(top + 1) }

  /// Whether some query reads the block.
  func isRead(_ level: Int, _ block: Int) -> Bool {
    block % 2 == 0 && (block + 1) << level < length
  }

  /// Rows of the shared blocks of a panel, from level 4 on.
  func shared(panel: Int, _ body: (Int) -> Void) {
    var level = 4
    while panel >> (level - 4) > 0 {
      let index = panel >> (level - 4)
      if index & 1 == 1 { body(offset(level) + index - 1) }
      level += 1
    }
  }

  /// Highest level that is taken piece by piece.
  private static let pieceLevel = 7

  /// Every block of every level once, each after its halves; `reversed`, each before them.
  ///
  /// The lower levels come in pieces of 128 positions, whose tokens stay in L2 from
  /// level to level; the sums of a row do not change with it.
  func inPieces(reversed: Bool = false, _ body: (_ level: Int, _ blocks: Range<Int>) -> Void) {
    let low = min(Self.pieceLevel, top)
    if reversed {
      for level in (low + 1..<top + 1).reversed() { body(level, 0..<count(level)) }
    }
    for start in stride(from: 0, to: length, by: 1 << Self.pieceLevel) {
      for index in 1..<low + 1 {
        let level = reversed ? low + 1 - index : index
        let first = start >> level
        let end = min(count(level), first + (1 << (Self.pieceLevel - level)))
        if first < end { body(level, first..<end) }
      }
    }
    if !reversed {
      for level in low + 1..<top + 1 { body(level, 0..<count(level)) }
    }
  }

  /// The seven blocks inside a panel, in order; nil where the sequence ends before their readers.
  func inside(panel: Int, _ body: (Int?) -> Void) {
    for level in 1...3 {
      for number in 0..<(4 >> (level - 1)) {
        let block = (panel << (4 - level)) + 2 * number
        body(isRead(level, block) ? offset(level) + block : nil)
      }
    }
  }
}

/// Pooled queries and keys and the values of all blocks, packed rows.
struct DyadicPyramid {
  let widths: HeadShape
  let queries: UnsafeMutablePointer<Float>  // [blocks, padded D], times the scale
  let keys: UnsafeMutablePointer<Float>  // [blocks, padded D]
  let values: UnsafeMutablePointer<Float>  // [blocks, padded E], of the blocks that are read

  init(_ widths: HeadShape, longest: Int, _ scratch: inout Scratch) {
    self.widths = widths
    let rows = DyadicBlocks(length: longest).rows
    queries = scratch.take(rows * widths.keyStride)
    keys = scratch.take(rows * widths.keyStride)
    values = scratch.take(rows * widths.valueStride)
  }

  /// Pools queries and keys level by level and lets every block that is read attend to its tokens.
  func build(
    _ blocks: DyadicBlocks, queries tokenQueries: UnsafePointer<Float>,
    keys tokenKeys: UnsafePointer<Float>, values tokenValues: UnsafePointer<Float>,
    _ pooling: CombinerShape.Pooling, _ summary: CombinerSummary
  ) {
    let stride = widths.keyStride
    blocks.inPieces { level, range in
      let offset = blocks.offset(level)
      let below = level > 1 ? blocks.offset(level - 1) * stride : 0
      let belowQueries = level > 1 ? UnsafePointer(queries + below) : tokenQueries
      let belowKeys = level > 1 ? UnsafePointer(keys + below) : tokenKeys
      for block in range {
        let left = 2 * block * stride
        let row = (offset + block) * stride
        CombinerPooling.join(
          queries + row, belowQueries + left, belowQueries + left + stride, width: stride, pooling)
        CombinerPooling.join(
          keys + row, belowKeys + left, belowKeys + left + stride, width: stride, pooling)
        if !blocks.isRead(level, block) { continue }
        let token = block << level
        summary.forward(
          values + (offset + block) * widths.valueStride, query: queries + row,
          CombinerSummary.Region(
            count: 1 << level, keys: tokenKeys + token * stride, keyStride: stride,
            values: tokenValues + token * widths.valueStride, valueStride: widths.valueStride))
      }
    }
  }
}

/// Keys and values of one panel, gathered.
struct DyadicPanel {
  /// Keys behind the mask: 16 tokens and 7 blocks.
  static let masked = 23
  /// And the shared ones, at most one for every bit of a position.
  static let most = masked + 60

  let widths: HeadShape
  let keys: UnsafeMutablePointer<Float>  // [most, padded D]
  let values: UnsafeMutablePointer<Float>  // [most, padded E]

  init(_ widths: HeadShape, _ scratch: inout Scratch) {
    self.widths = widths
    keys = scratch.take(Self.most * widths.keyStride)
    values = scratch.take(Self.most * widths.valueStride)
  }

  /// Infinity where a lane sees a key, else minus infinity, `[masked, 16]`; never freed.
  private nonisolated(unsafe) static let table: UnsafePointer<Float> = {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: 64 * masked, alignment: 64)
    let table = memory.bindMemory(to: Float.self, capacity: 16 * masked)
    for key in 0..<16 {
      for lane in 0..<16 {
        let isSeen = lane == key || (lane == key + 1 && lane % 2 == 1)
        table[16 * key + lane] = isSeen ? .infinity : -.infinity
      }
    }
    var row = 16
    for level in 1...3 {
      for number in 0..<(4 >> (level - 1)) {
        for lane in 0..<16 {
          table[16 * row + lane] = lane >> level == 2 * number + 1 ? .infinity : -.infinity
        }
        row += 1
      }
    }
    return UnsafePointer(table)
  }()

  var mask: LaneMask { .lanes(Self.table, keys: Self.masked) }

  /// Gathers the keys of a panel; hidden ones that do not exist become zero.
  ///
  /// - Returns: Their number.
  func gather(
    _ panel: Int, _ blocks: DyadicBlocks, _ pyramid: DyadicPyramid,
    keys tokenKeys: UnsafePointer<Float>, values tokenValues: UnsafePointer<Float>
  ) -> Int {
    let (keyStride, valueStride) = (widths.keyStride, widths.valueStride)
    let present = min(16, blocks.length - 16 * panel)
    keys.update(from: tokenKeys + 16 * panel * keyStride, count: present * keyStride)
    values.update(from: tokenValues + 16 * panel * valueStride, count: present * valueStride)
    let missing = 16 - present
    (keys + present * keyStride).update(repeating: 0, count: missing * keyStride)
    (values + present * valueStride).update(repeating: 0, count: missing * valueStride)
    var row = 16
    func append(_ block: Int?) {
      let (key, value) = (keys + row * keyStride, values + row * valueStride)
      if let block {
        key.update(from: pyramid.keys + block * keyStride, count: keyStride)
        value.update(from: pyramid.values + block * valueStride, count: valueStride)
      } else {
        key.update(repeating: 0, count: keyStride)
        value.update(repeating: 0, count: valueStride)
      }
      row += 1
    }
    blocks.inside(panel: panel) { append($0) }
    blocks.shared(panel: panel) { append($0) }
    return row
  }
}
