import CUDASource
import Tensor

/// Tiles of a batch for softmax attention.
struct SoftmaxPlan: Sendable {
  struct Key: Hashable, Sendable {}

  let lists: TileLists
  /// Blocks of sequences of at most four tiles.
  let short: TileLists.List
  /// Tiles of the others, those that see most and those that are seen most first.
  let queries: TileLists.List
  let keys: TileLists.List

  init(_ sequences: Sequences, _ driver: any GPUDriver) throws(DeviceError) {
    let all = TiledSequence.all(sequences)
    let long = all.filter { $0.size > TiledSequence.blockTiles }
    var builder = TileBuilder()
    short = builder.list {
      $0 += TiledSequence.blocks(of: all.filter { $0.size <= TiledSequence.blockTiles })
    }
    queries = builder.list { $0 += Self.heaviestFirst(long) { $1 } }
    keys = builder.list { $0 += Self.heaviestFirst(long) { $0.length - $1 } }
    lists = try TileLists(builder.tiles, driver)
  }

  /// Blocks of up to four neighbouring tiles of a sequence, whose warps share keys through the cache,
  /// in the order of their work.
  private static func heaviestFirst(
    _ sequences: [TiledSequence], work: (TiledSequence, _ row: Int) -> Int
  ) -> [AttentionTile] {
    let rows = TiledSequence.tileRows * TiledSequence.blockTiles
    var groups: [(work: Int, order: Int, tiles: [AttentionTile])] = []
    for sequence in sequences {
      for row in stride(from: 0, to: sequence.length, by: rows) {
        let end = min(row + rows, sequence.length)
        groups.append(
          (work(sequence, row), groups.count, sequence.tiles(of: 0, rows: row..<end)))
      }
    }
    groups.sort { ($1.work, $0.order) < ($0.work, $1.order) }
    return groups.flatMap(\.tiles)
  }
}
