/// Finds all pieces that begin at a place of a text.
///
/// A double array: the child of node `n` by byte `c` is node `base(n) + c`, if that node names `n`
/// as its parent. Children lie close together, and a step touches one unit of 16 bytes.
///
/// Unchecked because of the units, which never change.
final class PieceTrie: @unchecked Sendable {
  private struct Unit {
    var base: UInt32 = 0
    /// The parent, or `free`.
    var parent = free
    /// The piece that ends here, or -1.
    var id: Int32 = -1
    var score: Float = 0

    static let free = UInt32.max
  }

  private let units: UnsafeMutablePointer<Unit>

  /// - Parameter pieces: Of two with the same bytes the last counts.
  init(_ pieces: [(id: Int32, bytes: [UInt8], score: Float)]) {
    var builder = Builder(pieces)
    builder.build()
    let used = (builder.units.lastIndex { $0.parent != Unit.free } ?? 0) + 1
    // A step from any node stays inside.
    units = .allocate(capacity: used + 256)
    units.initialize(from: Array(builder.units.prefix(used)), count: used)
    (units + used).initialize(repeating: Unit(), count: 256)
  }

  deinit { units.deallocate() }

  /// Calls `body(end, id, score)` for every piece that begins at `start`, from short to long.
  @inline(__always)
  func forEachPrefix(
    of text: UnsafePointer<UInt8>, from start: Int, to limit: Int,
    _ body: (Int, Int32, Float) -> Void
  ) {
    let units = self.units
    var node: UInt32 = 0
    var end = start
    while end < limit {
      let child = units[Int(node)].base &+ UInt32(text[end])
      let unit = units[Int(child)]
      if unit.parent != node { return }
      node = child
      end &+= 1
      if unit.id >= 0 { body(end, unit.id, unit.score) }
    }
  }

  /// The piece that is spelled by all these bytes, or -1.
  func id(of bytes: some Sequence<UInt8>) -> Int32 {
    var node: UInt32 = 0
    for byte in bytes {
      let child = units[Int(node)].base &+ UInt32(byte)
      if units[Int(child)].parent != node { return -1 }
      node = child
    }
    return units[Int(node)].id
  }

  /// Lays out the units.
  private struct Builder {
    /// A piece: its id and score, and where its bytes lie.
    private struct Entry {
      /// The first eight bytes as a number: most pieces are told apart by it.
      var key: UInt64
      var start: Int
      var count: Int
      var id: Int32
      var score: Float
    }

    private var entries: [Entry] = []
    private var text: [UInt8] = []
    var units: [Unit] = []

    /// Places below it are taken, but for a few.
    private var firstFree = 1

    init(_ pieces: [(id: Int32, bytes: [UInt8], score: Float)]) {
      entries.reserveCapacity(pieces.count)
      for piece in pieces {
        var key: UInt64 = 0
        for place in 0..<8 {
          key = key << 8 | UInt64(place < piece.bytes.count ? piece.bytes[place] : 0)
        }
        entries.append(
          Entry(
            key: key, start: text.count, count: piece.bytes.count, id: piece.id,
            score: piece.score))
        text += piece.bytes
      }
      let text = self.text
      entries.sort { left, right in
        if left.key != right.key { return left.key < right.key }
        let one = text[left.start..<left.start + left.count]
        let other = text[right.start..<right.start + right.count]
        if one.lexicographicallyPrecedes(other) { return true }
        return one == other && left.start < right.start
      }
    }

    mutating func build() {
      // The root is nobody's child.
      units = [Unit](repeating: Unit(), count: max(1_024, 2 * text.count))
      units[0].parent = Unit.free - 1
      // Pieces that share their first `depth` bytes, with the node of those.
      var pending = [(node: 0, range: 0..<entries.count, depth: 0)]
      // The bytes that follow, and the end of the pieces that go on with each.
      var bytes: [UInt8] = []
      var ends: [Int] = []
      while let (node, range, depth) = pending.popLast() {
        var start = range.lowerBound
        while start < range.upperBound && entries[start].count == depth {
          units[node].id = entries[start].id
          units[node].score = entries[start].score
          start += 1
        }
        if start == range.upperBound { continue }
        bytes.removeAll(keepingCapacity: true)
        ends.removeAll(keepingCapacity: true)
        for index in start..<range.upperBound {
          let byte = text[entries[index].start + depth]
          if byte != bytes.last {
            if !bytes.isEmpty { ends.append(index) }
            bytes.append(byte)
          }
        }
        ends.append(range.upperBound)
        let base = findBase(bytes)
        units[node].base = UInt32(base)
        for (byte, end) in zip(bytes, ends) {
          units[base + Int(byte)].parent = UInt32(node)
          pending.append((base + Int(byte), start..<end, depth + 1))
          start = end
        }
      }
    }

    /// Where all the bytes have a free place.
    private mutating func findBase(_ bytes: [UInt8]) -> Int {
      var place = max(firstFree, Int(bytes[0]) + 1)
      let began = place
      var taken = 0
      while true {
        if units.count <= place + 256 {
          units += [Unit](repeating: Unit(), count: max(1024, units.count / 2))
        }
        let base = place - Int(bytes[0])
        if units[place].parent != Unit.free {
          taken += 1
        } else if bytes.allSatisfy({ units[base + Int($0)].parent == Unit.free }) {
          // Searching again where hardly a place is left would take ever longer.
          if taken * 20 > (place - began) * 19 { firstFree = max(firstFree, place) }
          return base
        }
        place += 1
      }
    }
  }
}
