/// Whether bytes are well-formed UTF-8 (RFC 3629: no overlong forms, surrogates or values past
/// U+10FFFF).
func isValidUTF8(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
  guard let base = bytes.baseAddress else { return true }
  let count = bytes.count
  var index = 0
  while index < count {
    let lead = base[index]
    if lead < 0x80 {
      index += 1
      continue
    }
    let length: Int
    // Bounds of the second byte, the only one that depends on the first.
    var low: UInt8 = 0x80
    var high: UInt8 = 0xBF
    switch lead {
    case 0xC2...0xDF: length = 2
    case 0xE0...0xEF:
      length = 3
      if lead == 0xE0 { low = 0xA0 }
      if lead == 0xED { high = 0x9F }
    case 0xF0...0xF4:
      length = 4
      if lead == 0xF0 { low = 0x90 }
      if lead == 0xF4 { high = 0x8F }
    default: return false
    }
    if index + length > count { return false }
    if base[index + 1] < low || base[index + 1] > high { return false }
    for offset in 2..<max(2, length) where base[index + offset] & 0xC0 != 0x80 { return false }
    index += length
  }
  return true
}

/// Bytes of the character that begins with this byte of valid UTF-8.
@inline(__always)
func characterLength(_ lead: UInt8) -> Int {
  if lead < 0x80 { return 1 }
  if lead < 0xE0 { return 2 }
  return lead < 0xF0 ? 3 : 4
}
