/// Finds all pieces that begin at a place of a text.
///
/// A double array: the child of node `n` by byte `c` is node `base(n) + c`, if that node names `n`
/// as its parent. Children lie close together, and a step touches one unit of 16 bytes.
final class PieceTrie {
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
    // A step from any node stays inside.
    units = .allocate(capacity: builder.units.count + 256)
    units.initialize(repeating: Unit(), count: builder.units.count + 256)
    for (index, unit) in builder.units.enumerated() { units[index] = unit }
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
    let pieces: [(id: Int32, bytes: [UInt8], score: Float)]
    var units: [Unit] = []

    /// Places below it are taken, but for a few.
    private var firstFree = 1

    init(_ pieces: [(id: Int32, bytes: [UInt8], score: Float)]) {
      // Most are told apart by their first eight bytes, which compare as one number.
      let keys = pieces.enumerated().map { index, piece in
        (key: Self.key(piece.bytes), index: index)
      }
      self.pieces = keys.sorted { left, right in
        if left.key != right.key { return left.key < right.key }
        let (one, other) = (pieces[left.index].bytes, pieces[right.index].bytes)
        if one.lexicographicallyPrecedes(other) { return true }
        return one == other && left.index < right.index
      }.map { pieces[$0.index] }
    }

    private static func key(_ bytes: [UInt8]) -> UInt64 {
      var key: UInt64 = 0
      for place in 0..<8 { key = key << 8 | UInt64(place < bytes.count ? bytes[place] : 0) }
      return key
    }

    mutating func build() {
      // The root is nobody's child.
      units = [Unit(parent: Unit.free - 1)]
      // Pieces that share their first `depth` bytes, with the node of those.
      var pending = [(node: 0, range: 0..<pieces.count, depth: 0)]
      while let (node, range, depth) = pending.popLast() {
        var start = range.lowerBound
        while start < range.upperBound && pieces[start].bytes.count == depth {
          units[node].id = pieces[start].id
          units[node].score = pieces[start].score
          start += 1
        }
        var children: [(byte: UInt8, range: Range<Int>)] = []
        while start < range.upperBound {
          let byte = pieces[start].bytes[depth]
          var end = start + 1
          while end < range.upperBound && pieces[end].bytes[depth] == byte { end += 1 }
          children.append((byte, start..<end))
          start = end
        }
        if children.isEmpty { continue }
        let base = findBase(children.map(\.byte))
        units[node].base = UInt32(base)
        for (byte, range) in children {
          units[base + Int(byte)].parent = UInt32(node)
          pending.append((base + Int(byte), range, depth + 1))
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
