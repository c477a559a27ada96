import CUDASource
import Tensor

/// Tiles of a batch for hierarchical attention.
struct HierarchicalPlan: Sendable {
  struct Key: Hashable, Sendable {
    let blockSize: Int
    let isFine: Bool
  }

  /// Levels that a tile computes itself with coarse queries; those above are far.
  static let nearLevels = 3
  /// Levels of means that one launch makes.
  static let launchLevels = 4
  /// Positions of queries that one task of far keys goes through, with fine queries.
  private static let chunk = 256

  let lists: TileLists
  /// Blocks of sequences of at most four tiles.
  let short: TileLists.List
  /// Tiles of the others.
  let long: TileLists.List
  /// Tiles of levels 0, 4, 8 and so on that have levels above them.
  let means: [TileLists.List]
  let farForward: TileLists.List
  let farKeys: TileLists.List
  let farChunks: TileLists.List
  /// Far rows of all sequences, and those of later chunks.
  let farRows: Int
  /// Whether some sequence has a second level.
  let hasLevels: Bool

  init(_ sequences: Sequences, _ key: Key, _ driver: any GPUDriver) throws(DeviceError) {
    let all = TiledSequence.all(sequences)
    hasLevels = all.contains { $0.topLevel(key.blockSize) > 0 }
    func isShort(_ sequence: TiledSequence) -> Bool {
      sequence.size <= TiledSequence.blockTiles
        && sequence.topLevel(key.blockSize) <= (key.isFine ? 0 : Self.nearLevels)
    }
    let others = all.filter { !isShort($0) }
    var far = FarRows(others, key)
    var builder = TileBuilder()
    short = builder.list { $0 += TiledSequence.blocks(of: all.filter(isShort)) }
    let long = builder.list { $0 += far.tiles }
    self.long = long
    var means: [TileLists.List] = []
    for level in stride(from: 0, to: Int32.bitWidth, by: Self.launchLevels) {
      let deep = others.filter { $0.topLevel(key.blockSize) > level }
      if deep.isEmpty { break }
      means.append(
        builder.list { tiles in
          for sequence in deep {
            tiles += sequence.tiles(of: level, rows: 0..<sequence.rows(level))
          }
        })
    }
    self.means = means
    farForward = builder.list { if !key.isFine { $0 += far.queries() } }
    let (keys, chunks) = far.keys(chunk: Self.chunk)
    farKeys = builder.list { $0 += keys }
    farChunks = builder.list { $0 += chunks }
    farRows = far.count
    lists = try TileLists(builder.tiles, driver)
  }
}

extension TiledSequence {
  /// The highest level at which there is a block left of the last.
  func topLevel(_ blockSize: Int) -> Int {
    let last = (length - 1) / blockSize
    return last == 0 ? 0 : last.bitWidth - 1 - last.leadingZeroBitCount
  }
}

/// Rows of levels above those that tiles compute themselves, one after the other for all sequences, and
/// behind them rows of chunks whose sums are added to them.
private struct FarRows {
  private let sequences: [(sequence: TiledSequence, first: Int)]
  private let key: HierarchicalPlan.Key
  private(set) var count: Int

  init(_ sequences: [TiledSequence], _ key: HierarchicalPlan.Key) {
    self.key = key
    var count = 0
    self.sequences = sequences.map { sequence in
      defer {
        count += Self.levels(of: sequence, key).reduce(0) { $0 + sequence.rows($1) }
      }
      return (sequence, count)
    }
    self.count = count
  }

  private static func levels(of sequence: TiledSequence, _ key: HierarchicalPlan.Key) -> Range<Int>
  {
    let first = (key.isFine ? 0 : HierarchicalPlan.nearLevels) + 1
    return first..<max(first, sequence.topLevel(key.blockSize) + 1)
  }

  /// Tiles of positions.
  var tiles: [AttentionTile] {
    sequences.flatMap { sequence, first in
      sequence.tiles.map {
        var tile = $0
        tile.far = Int32(first)
        return tile
      }
    }
  }

  /// Calls `body` with every far level of every sequence and its first far row.
  private func forEachLevel(_ body: (_ sequence: TiledSequence, _ level: Int, _ first: Int) -> Void)
  {
    for (sequence, first) in sequences {
      var row = first
      for level in Self.levels(of: sequence, key) {
        body(sequence, level, row)
        row += sequence.rows(level)
      }
    }
  }

  /// Tiles of far queries; those of the first block see nothing at their level.
  func queries() -> [AttentionTile] {
    var tiles: [AttentionTile] = []
    forEachLevel { sequence, level, first in
      for tile in sequence.tiles(of: level, rows: key.blockSize..<sequence.rows(level)) {
        var tile = tile
        tile.out = Int32(first) + tile.row
        tiles.append(tile)
      }
    }
    return tiles
  }

  /// Tasks of far keys, and those that add the chunks into which long ones are cut.
  mutating func keys(chunk: Int) -> (tasks: [AttentionTile], sums: [AttentionTile]) {
    var (tasks, sums): ([AttentionTile], [AttentionTile]) = ([], [])
    var extra = count
    forEachLevel { sequence, level, first in
      let blocks = ((sequence.length - 1) / key.blockSize) >> level
      let (shift, end) = key.isFine ? (level, sequence.length) : (0, sequence.rows(level))
      for tile in sequence.tiles(of: level, rows: 0..<blocks * key.blockSize) {
        let next = Int(tile.row) / key.blockSize + 1
        let queries =
          (next * key.blockSize) << shift..<min(((next + 1) * key.blockSize) << shift, end)
        let firstExtra = extra
        for start in stride(
          from: queries.lowerBound, to: queries.upperBound, by: key.isFine ? chunk : queries.count)
        {
          var task = tile
          task.lo = Int32(start)
          task.hi = Int32(key.isFine ? min(start + chunk, queries.upperBound) : queries.upperBound)
          task.out = Int32(first) + tile.row
          if start > queries.lowerBound {
            task.out = Int32(extra)
            extra += TiledSequence.tileRows
          }
          tasks.append(task)
        }
        guard extra > firstExtra else { continue }
        var sum = tile
        sum.lo = Int32(firstExtra)
        sum.hi = Int32((extra - firstExtra) / TiledSequence.tileRows)
        sum.out = Int32(first) + tile.row
        sums.append(sum)
      }
    }
    count = extra
    return (tasks, sums)
  }
}
