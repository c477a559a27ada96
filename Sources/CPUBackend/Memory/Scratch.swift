import Tensor

/// Working memory of one task, handed out piece by piece from a lent buffer.
struct Scratch {
  let buffer: Buffer
  private var next = 0

  /// Runs `body` with at least `count` floats whose contents are undefined.
  static func with(count: Int, _ body: (inout Scratch) -> Void) {
    ScratchPool.borrow(count) { buffer in
      var scratch = Scratch(buffer: buffer)
      body(&scratch)
    }
  }

  private init(buffer: Buffer) { self.buffer = buffer }

  /// Hands out `count` floats on a cache line.
  mutating func take(_ count: Int) -> UnsafeMutablePointer<Float> {
    let start = next
    next += Scratch.rounded(count)
    precondition(next <= buffer.count, "scratch of \(buffer.count) floats is too small")
    return buffer.base + start
  }

  /// Floats that `take(count)` uses up.
  static func rounded(_ count: Int) -> Int { (count + 15) / 16 * 16 }
}
