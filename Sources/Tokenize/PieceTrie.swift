/// Finds all pieces that begin at a place of a text.
final class PieceTrie {
  /// Open addressing: key `node << 8 | byte` plus one, value the next node.
  private let keys: UnsafeMutablePointer<UInt32>
  private let nodes: UnsafeMutablePointer<UInt32>
  private let ids: UnsafeMutablePointer<Int32>
  private let mask: Int

  init(_ pieces: [(id: Int32, bytes: [UInt8])]) {
    let edges = pieces.reduce(1) { $0 + $1.bytes.count }
    var capacity = 16
    while capacity < 2 * edges { capacity *= 2 }
    mask = capacity - 1
    keys = .allocate(capacity: capacity)
    keys.initialize(repeating: 0, count: capacity)
    nodes = .allocate(capacity: capacity)
    nodes.initialize(repeating: 0, count: capacity)
    ids = .allocate(capacity: edges + 1)
    ids.initialize(repeating: -1, count: edges + 1)
    var nodeCount = 1
    for (id, bytes) in pieces {
      var node: UInt32 = 0
      for byte in bytes {
        let slot = slot(node, byte)
        if keys[slot] == 0 {
          keys[slot] = node << 8 + UInt32(byte) + 1
          nodes[slot] = UInt32(nodeCount)
          nodeCount += 1
        }
        node = nodes[slot]
      }
      ids[Int(node)] = id
    }
  }

  deinit {
    keys.deallocate()
    nodes.deallocate()
    ids.deallocate()
  }

  /// Calls `body(end, id)` for every piece that begins at `start`, from short to long.
  @inline(__always)
  func forEachPrefix(
    of text: UnsafePointer<UInt8>, from start: Int, to limit: Int, _ body: (Int, Int32) -> Void
  ) {
    var node: UInt32 = 0
    var end = start
    while end < limit {
      let slot = slot(node, text[end])
      if keys[slot] == 0 { return }
      node = nodes[slot]
      end &+= 1
      if ids[Int(node)] >= 0 { body(end, ids[Int(node)]) }
    }
  }

  /// The piece that is spelled by all these bytes, or -1.
  func id(of bytes: some Sequence<UInt8>) -> Int32 {
    var node: UInt32 = 0
    for byte in bytes {
      let slot = slot(node, byte)
      if keys[slot] == 0 { return -1 }
      node = nodes[slot]
    }
    return ids[Int(node)]
  }

  /// Where the edge is, or the free place where it would be.
  @inline(__always)
  private func slot(_ node: UInt32, _ byte: UInt8) -> Int {
    let key = node << 8 &+ UInt32(byte) &+ 1
    var slot = Int((key &* 0x9E37_79B1) >> 7) & mask
    while keys[slot] != 0 && keys[slot] != key { slot = (slot &+ 1) & mask }
    return slot
  }
}
