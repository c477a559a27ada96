import CUDASource
import Tensor

/// Lists of tiles on the card, made once for a batch: they hold for all heads and layers.
struct TileLists: Sendable {
  /// Some neighbouring tiles of the memory.
  struct List: Sendable {
    let first: Int
    let count: Int
  }

  private let memory: PlacedIndices

  /// - Throws: `DeviceError` if the card has no room for them.
  init(_ tiles: [AttentionTile], _ driver: any GPUDriver) throws(DeviceError) {
    memory = try PlacedIndices(
      tiles.withUnsafeBytes { Array($0.bindMemory(to: Int32.self)) }, driver)
  }

  /// The first tile of a list on the card, and how many there are.
  subscript(_ list: List) -> (address: UnsafeMutableRawPointer, count: Int) {
    (memory.address + list.first * MemoryLayout<AttentionTile>.stride, list.count)
  }
}

/// Tiles of several lists, one list after the other.
struct TileBuilder {
  private(set) var tiles: [AttentionTile] = []

  /// The list of what `body` appends.
  mutating func list(_ body: (_ tiles: inout [AttentionTile]) -> Void) -> TileLists.List {
    let first = tiles.count
    body(&tiles)
    return TileLists.List(first: first, count: tiles.count - first)
  }
}
