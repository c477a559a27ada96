extension NumberType {
  /// The nearest number of 16 bits, ties to even; what is too large for a half is infinite.
  package func narrowed(_ number: Float) -> UInt16 {
    switch self {
    case .float64, .float32: preconditionFailure("\(self) has more than 16 bits")
    case .brain16: Self.brain(number)
    case .half: Self.half(number)
    }
  }

  private static func brain(_ number: Float) -> UInt16 {
    let bits = number.bitPattern
    if number.isNaN { return UInt16(bits >> 16) | 0x40 }
    return UInt16((bits + 0x7FFF + (bits >> 16 & 1)) >> 16)
  }

  private static func half(_ number: Float) -> UInt16 {
    let sign = UInt16(number.bitPattern >> 16 & 0x8000)
    let bits = number.bitPattern & 0x7FFF_FFFF
    if number.isNaN { return sign | 0x7E00 }
    // From the middle of the largest half and 2^16 on.
    if bits >= 0x477F_F000 { return sign | 0x7C00 }
    if bits < 0x3880_0000 {
      // Below 2^-14: multiples of 2^-24.
      return sign | UInt16((Float(bitPattern: bits) * 0x1p24).rounded(.toNearestOrEven))
    }
    return sign | UInt16((bits - (112 << 23) + 0xFFF + (bits >> 13 & 1)) >> 13)
  }
}
