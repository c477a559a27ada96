/// A number that another bit anywhere in many numbers changes; no defence against intent.
struct BitDigest {
  private var state: UInt64 = 0x9E37_79B9_7F4A_7C15

  /// Takes in numbers of 32 bits.
  ///
  /// - Parameters:
  ///   - bytes: The numbers.
  ///   - factor: What each is multiplied by first, a power of two.
  mutating func update(_ bytes: UnsafeRawBufferPointer, times factor: Float) {
    for number in bytes.bindMemory(to: Float.self) {
      state = (state ^ UInt64((factor * number).bitPattern)) &* 0x0000_0100_0000_01B3
      state ^= state >> 29
    }
  }

  /// At most 62 bits, so that it may travel as the bits of a finite `Double`.
  var value: UInt64 { state & 0x3FFF_FFFF_FFFF_FFFF }
}
