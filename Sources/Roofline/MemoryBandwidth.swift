import Deterministic
import Host
import Machine
import Tensor

/// The machine's other limit: how fast it reads memory that no cache holds.
package enum MemoryBandwidth {
  /// Bytes a second that all threads together read, the best of several passes.
  ///
  /// - Parameters:
  ///   - bytes: Memory to read, more than the caches hold.
  ///   - seconds: Time to spend.
  ///   - now: A clock, in seconds.
  package static func measure(
    bytes: Int = 1 << 28, seconds: Double = 0.3, now: () -> Double = WallClock.seconds
  ) -> Double {
    let columns = 1 << 16
    let memory = View(rows: max(1, bytes / 4 / columns), columns: columns)
    let sums = View(rows: 1, columns: memory.rows)
    memory.fill(1)
    var best = Double.infinity
    let end = now() + seconds
    repeat {
      let start = now()
      parallelFor(memory.rows) { row in
        sums.base[row] = sum(memory.base + row * columns, count: columns)
      }
      best = min(best, now() - start)
    } while now() < end
    precondition(sums.base[0] == Float(columns), "the memory holds ones")
    return Double(memory.count * MemoryLayout<Float>.stride) / best
  }

  /// Sum of a multiple of 32 floats, in four chains, so that memory is what is waited for.
  private static func sum(_ row: UnsafeRawPointer, count: Int) -> Float {
    typealias Lanes = SIMD8<Float>
    var (a, b, c, d) = (Lanes.zero, Lanes.zero, Lanes.zero, Lanes.zero)
    for index in stride(from: 0, to: count, by: 32) {
      let four = row + 4 * index
      a += four.loadUnaligned(as: Lanes.self)
      b += (four + 32).loadUnaligned(as: Lanes.self)
      c += (four + 64).loadUnaligned(as: Lanes.self)
      d += (four + 96).loadUnaligned(as: Lanes.self)
    }
    return (a + b + (c + d)).sum()
  }
}
