import CUDASource
import Tensor

/// A sequence of a batch, cut into tiles of 16 positions from its start on: what stands beside it in
/// the batch changes none of its sums.
struct TiledSequence {
  /// Positions of a tile.
  static let tileRows = 16
  /// Warps of a block, a tile each.
  static let blockTiles = 4

  let start: Int
  let length: Int

  /// Every sequence that is not empty.
  static func all(_ sequences: Sequences) -> [TiledSequence] {
    zip(sequences.starts, sequences.starts.dropFirst()).compactMap {
      $1 > $0 ? TiledSequence(start: $0, length: $1 - $0) : nil
    }
  }

  /// Tiles that its positions fill.
  var size: Int { (length + Self.tileRows - 1) / Self.tileRows }

  var tiles: [AttentionTile] { tiles(of: 0, rows: 0..<length) }

  /// Tiles of a level that hold some of its rows.
  func tiles(of level: Int, rows: Range<Int>) -> [AttentionTile] {
    stride(
      from: rows.lowerBound / Self.tileRows * Self.tileRows, to: rows.upperBound,
      by: Self.tileRows
    ).map { tile(level: level, row: $0) }
  }

  func tile(level: Int, row: Int) -> AttentionTile {
    var tile = AttentionTile()
    tile.start = Int32(start)
    tile.length = Int32(length)
    tile.level = Int32(level)
    tile.row = Int32(row)
    return tile
  }

  /// Rows of a level, the last of them perhaps incomplete.
  func rows(_ level: Int) -> Int { ((length - 1) >> level) + 1 }

  /// Blocks of four tiles that hold sequences of at most four tiles, none of which falls to two blocks.
  static func blocks(of short: [TiledSequence]) -> [AttentionTile] {
    var bySize = [[TiledSequence]](repeating: [], count: blockTiles + 1)
    for sequence in short { bySize[sequence.size].append(sequence) }
    var blocks: [AttentionTile] = []
    while let largest = bySize.lastIndex(where: { !$0.isEmpty }) {
      // The largest sequence that is left, and behind it whatever still fits.
      var room = blockTiles
      var size = largest
      while size > 0 {
        if let sequence = bySize[size].popLast() {
          blocks += sequence.tiles
          room -= size
        } else {
          size -= 1
        }
        size = min(size, room)
      }
      blocks += Array(repeating: AttentionTile(), count: room)
    }
    return blocks
  }
}
