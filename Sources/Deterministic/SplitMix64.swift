/// One step of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): a bijection that scatters bits.
@usableFromInline package enum SplitMix64 {
  /// Distance of two states of the generator: 2⁶⁴ divided by the golden ratio.
  @inlinable package static var increment: UInt64 { 0x9E37_79B9_7F4A_7C15 }

  /// The number after a state.
  @inlinable
  package static func mix(_ state: UInt64) -> UInt64 {
    var z = state &+ increment
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
