import Deterministic

/// A hash of bytes (FNV-1a with a last mixing step), the same in every run.
enum WordHash {
  static func hash(_ base: UnsafePointer<UInt8>, _ count: Int) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for index in 0..<count { hash = (hash ^ UInt64(base[index])) &* 0x0000_0100_0000_01B3 }
    return SplitMix64.mix(hash)
  }
}
