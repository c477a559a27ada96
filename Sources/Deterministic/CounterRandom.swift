#if canImport(Glibc)
  import Glibc
#endif

/// A counter-based generator: number `n` of stream `key` is a pure function of both.
///
/// There is no state to save: dropout masks, initial weights and orders are recomputed from
/// (seed, step, layer, site), the same for any number of threads, on any device and after any restart.
/// The mixing function is the finaliser of SplitMix64.
///
/// Usable from inlined code: of a type that is not, the compiler inlines no member across modules.
@usableFromInline package struct CounterRandom: Sendable {
  @usableFromInline package let key: UInt64

  /// A stream named by a seed and any number of words, for example step, layer and site.
  package init(seed: UInt64, _ words: UInt64...) {
    var key = SplitMix64.mix(seed)
    for word in words { key = SplitMix64.mix(key ^ word) }
    self.key = key
  }

  /// Number `index` of the stream, 64 uniform bits.
  @inlinable
  package func bits(_ index: UInt64) -> UInt64 {
    SplitMix64.mix(key &+ index &* SplitMix64.increment)
  }

  /// Number `index`, uniform in `[0, 1)` with 53 bits.
  package func uniform(_ index: UInt64) -> Double {
    Double(bits(index) >> 11) * 0x1p-53
  }

  /// Normal number `index` with mean 0 and deviation 1 (Box–Muller on numbers 2p and 2p+1).
  package func gaussian(_ index: UInt64) -> Double {
    let pair = index & ~1
    let radius = (-2 * log(1 - uniform(pair))).squareRoot()
    let angle = 2 * Double.pi * uniform(pair + 1)
    return radius * (index & 1 == 0 ? cos(angle) : sin(angle))
  }

  /// Normal numbers `range` of the stream, with mean 0, by all threads.
  package func gaussians(_ range: Range<Int>, deviation: Double) -> [Float] {
    [Float](unsafeUninitializedCapacity: range.count) { buffer, count in
      nonisolated(unsafe) let buffer = buffer
      parallelFor(range.count, grain: 1 << 14) { piece in
        for index in piece {
          buffer.initializeElement(
            at: index, to: Float(deviation * gaussian(UInt64(range.lowerBound + index))))
        }
      }
      count = range.count
    }
  }
}
