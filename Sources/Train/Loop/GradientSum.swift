import Communication
import Tensor

/// Adds what the ranks have summed up, in the order of the tree.
///
/// Every rank adds a slice of it, then all slices go to all: so many bytes are sent as in a ring,
/// whatever the number of ranks.
struct GradientSum {
  private let kernels: any Kernels
  private let communicator: any Communicator
  private let tree: ShareTree

  init(_ kernels: any Kernels, _ communicator: any Communicator, _ tree: ShareTree) {
    self.kernels = kernels
    self.communicator = communicator
    self.tree = tree
  }

  /// - Parameters:
  ///   - nodes: The sums of the rank's own nodes, each contiguous.
  ///   - total: Takes the sum of all; it may be one of the nodes.
  func run(_ nodes: [View], into total: View) throws {
    let ranks = communicator.size
    let own = slice(communicator.rank, of: total)
    let outgoing = try communicator.together {
      try (0..<ranks).map { rank in try bytes(of: nodes.map { slice(rank, of: $0) }) }
    }
    let counts = (0..<ranks).map { 4 * own.count * tree.nodes(of: $0).count }
    let incoming = try exchange(outgoing, counts: counts)
    let sum = try communicator.together { try added(incoming, count: own.count) }
    let slices = try exchange(
      Array(repeating: sum, count: ranks),
      counts: (0..<ranks).map { 4 * slice($0, of: total).count })
    try communicator.together {
      for (rank, bytes) in slices.enumerated() {
        let part = slice(rank, of: total)
        try bytes.withUnsafeBytes { try kernels.write($0, type: .float32, to: part) }
      }
    }
  }

  /// The part of contiguous memory that a rank adds up.
  private func slice(_ rank: Int, of view: View) -> View {
    let ranks = communicator.size
    let range = rank * view.count / ranks..<(rank + 1) * view.count / ranks
    return View(view.buffer, offset: view.offset + range.lowerBound, rows: 1, columns: range.count)
  }

  private func bytes(of views: [View]) throws -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(4 * views.reduce(0) { $0 + $1.count })
    for view in views { try kernels.withFloats(of: view) { bytes.append(contentsOf: $0) } }
    return bytes
  }

  /// One slice of all nodes of all ranks, added on the device.
  private func added(_ incoming: [[UInt8]], count: Int) throws -> [UInt8] {
    let views = try incoming.enumerated().map { rank, bytes in
      try tree.nodes(of: rank).indices.map { index in
        let view = try kernels.makeView(rows: 1, columns: count)
        try bytes.withUnsafeBytes {
          try kernels.write(
            UnsafeRawBufferPointer(rebasing: $0[4 * count * index..<4 * count * (index + 1)]),
            type: .float32, to: view)
        }
        return view
      }
    }
    let sum = tree.sum({ views[$0][$1] }) { left, right in
      kernels.add(right, to: left)
      return left
    }
    return try bytes(of: [sum])
  }

  private func exchange(_ outgoing: [[UInt8]], counts: [Int]) throws -> [[UInt8]] {
    func copy(_ bytes: [UInt8]) -> UnsafeMutableRawBufferPointer {
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 16)
      memory.copyBytes(from: bytes)
      return memory
    }
    let sent = outgoing.map(copy)
    let received = counts.map {
      UnsafeMutableRawBufferPointer.allocate(byteCount: $0, alignment: 16)
    }
    defer { for memory in sent + received { memory.deallocate() } }
    try communicator.exchange(sent.map { UnsafeRawBufferPointer($0) }, into: received)
    return received.map { Array($0) }
  }
}
