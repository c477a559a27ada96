import Host
import Tensor

/// Working memory of one task, carved piece by piece from a lent buffer.
///
/// What a task needs is said once, by the code that carves it: ``lend(carving:_:)`` runs that code a
/// first time to count, on memory that does not exist, and a second time on a buffer of that size.
/// Carving must therefore depend on shapes alone and must not touch what it takes; types whose
/// memory has to hold something at first have a method for it.
struct Scratch {
  private let buffer: Buffer
  /// Floats handed out so far.
  private var taken = 0

  private init(_ buffer: Buffer) { self.buffer = buffer }

  /// Runs `body` with what `carve` takes; the contents are undefined.
  static func lend<Parts>(carving carve: (inout Scratch) -> Parts, _ body: (Parts) -> Void) {
    ScratchPool.borrow(floats(carving: carve)) { buffer in
      var scratch = Scratch(buffer)
      body(carve(&scratch))
    }
  }

  /// Floats that `carve` takes.
  static func floats<Parts>(carving carve: (inout Scratch) -> Parts) -> Int {
    var scratch = Scratch(nowhere)
    _ = carve(&scratch)
    return scratch.taken
  }

  /// Stands for memory while it is counted: aligned like a buffer, larger than any, not there.
  private static let nowhere: Buffer = {
    guard let address = UnsafeMutableRawPointer(bitPattern: 1 << 12) else {
      preconditionFailure("no such address")
    }
    return Buffer(address: address, count: .max, home: .host, bytes: 0) {}
  }()

  /// Hands out `count` floats on a cache line.
  mutating func take(_ count: Int) -> UnsafeMutablePointer<Float> {
    buffer.base + reserve(count)
  }

  /// Hands out `count` values of a type without references on a cache line.
  mutating func take<Value: BitwiseCopyable>(
    _ count: Int, of type: Value.Type
  ) -> UnsafeMutablePointer<Value> {
    let floats = MemoryLayout<Float>.stride
    let start = take((count * MemoryLayout<Value>.stride + floats - 1) / floats)
    return UnsafeMutableRawPointer(start).bindMemory(to: type, capacity: count)
  }

  /// Hands out a matrix on a cache line.
  mutating func takeView(rows: Int, columns: Int) -> View {
    View(buffer, offset: reserve(rows * columns), rows: rows, columns: columns)
  }

  /// Takes whole cache lines.
  ///
  /// - Returns: Where they begin.
  private mutating func reserve(_ count: Int) -> Int {
    let start = taken
    taken += (count + 15) / 16 * 16
    precondition(taken <= buffer.count, "scratch of \(buffer.count) floats is too small")
    return start
  }
}
