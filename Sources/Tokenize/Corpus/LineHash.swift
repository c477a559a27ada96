import Deterministic

/// A random number for every line of a corpus.
enum LineHash {
  static func bits(seed: UInt64, file: Int, line: Int) -> UInt64 {
    let key = SplitMix64.mix(SplitMix64.mix(seed) ^ UInt64(file))
    return SplitMix64.mix(key ^ UInt64(line))
  }
}
