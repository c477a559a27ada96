#if canImport(Glibc)
  import Glibc
#endif

/// A counter-based generator: number `n` of stream `key` is a pure function of both.
///
/// There is no state to save: dropout masks, initial weights and orders are recomputed from
/// (seed, step, layer, site), the same for any number of threads and after any restart. The
/// mixing function is the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
package struct CounterRandom: Sendable {
  package let key: UInt64

  /// A stream named by a seed and any number of words, for example step, layer and site.
  package init(seed: UInt64, _ words: UInt64...) {
    var key = Self.mix(seed)
    for word in words { key = Self.mix(key ^ word) }
    self.key = key
  }

  /// One step of SplitMix64.
  package static func mix(_ value: UInt64) -> UInt64 {
    var z = value &+ 0x9E37_79B9_7F4A_7C15
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// Number `index` of the stream, 64 uniform bits.
  package func bits(_ index: UInt64) -> UInt64 {
    Self.mix(key &+ index &* 0x9E37_79B9_7F4A_7C15)
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
}

extension View {
  /// Fills a contiguous view with normal numbers of the given standard deviation.
  package func fillGaussian(deviation: Double, from random: CounterRandom) {
    precondition(isContiguous)
    let start = self
    parallelFor(count, grain: 1 << 14) { range in
      let base = start.base
      for index in range {
        base[index] = Float(deviation * random.gaussian(UInt64(index)))
      }
    }
  }
}
