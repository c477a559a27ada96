/// Compressed files without compression, written by hand, so that tests need no program for it.
enum StoredArchives {
  /// Zstandard frames of raw blocks (RFC 8878), one frame for each part.
  static func zstd(_ parts: [UInt8]...) -> [UInt8] {
    var bytes: [UInt8] = []
    for part in parts {
      bytes += [0x28, 0xB5, 0x2F, 0xFD]
      // No content size, a window of 128 MiB as --long=27 asks for.
      bytes += [0x00, 17 << 3]
      var rest = part[...]
      repeat {
        let block = rest.prefix(1 << 16)
        rest = rest.dropFirst(block.count)
        let header = block.count << 3 | (rest.isEmpty ? 1 : 0)
        bytes += [UInt8(header & 0xFF), UInt8(header >> 8 & 0xFF), UInt8(header >> 16)]
        bytes += block
      } while !rest.isEmpty
    }
    return bytes
  }

  /// A gzip member of stored blocks (RFC 1951, RFC 1952).
  static func gzip(_ text: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255]
    var rest = text[...]
    repeat {
      let block = rest.prefix(60_000)
      rest = rest.dropFirst(block.count)
      bytes.append(rest.isEmpty ? 1 : 0)
      bytes += little(UInt32(block.count), 2) + little(~UInt32(block.count), 2)
      bytes += block
    } while !rest.isEmpty
    return bytes + little(checksum(text), 4) + little(UInt32(text.count), 4)
  }

  private static func little(_ value: UInt32, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * UInt32($0))) }
  }

  private static func checksum(_ bytes: [UInt8]) -> UInt32 {
    var value: UInt32 = 0xFFFF_FFFF
    for byte in bytes {
      value ^= UInt32(byte)
      for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
    }
    return ~value
  }
}
