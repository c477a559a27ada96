import Foundation
import Tokenize

/// The lines of a file one after another, each valid until the next is asked for.
final class LineScanner {
  private static let blockBytes = 1 << 20

  private let file: DecompressedFile
  private let progress: (Int) throws -> Void
  private var memory = UnsafeMutableRawBufferPointer.allocate(
    byteCount: LineScanner.blockBytes, alignment: 16)
  private var position = 0
  private var filled = 0
  private var isAtEnd = false

  init(_ file: DecompressedFile, progress: @escaping (Int) throws -> Void) {
    self.file = file
    self.progress = progress
  }

  deinit { memory.deallocate() }

  /// The next line without its end and without a carriage return before it; nil after the last.
  func next() throws -> UnsafeBufferPointer<UInt8>? {
    var searched = position
    while true {
      if let base = memory.baseAddress, searched < filled,
        let end = memchr(base + searched, 0x0A, filled - searched)
      {
        let length = UnsafeRawPointer(end) - UnsafeRawPointer(base) - position
        defer { position += length + 1 }
        return line(position, length)
      }
      searched = filled
      if isAtEnd {
        guard position < filled else { return nil }
        defer { position = filled }
        return line(position, filled - position)
      }
      searched -= position
      try fill()
    }
  }

  private func line(_ start: Int, _ length: Int) -> UnsafeBufferPointer<UInt8> {
    let bytes = UnsafeRawBufferPointer(rebasing: memory[start..<start + length])
      .assumingMemoryBound(to: UInt8.self)
    return bytes.last == 0x0D ? UnsafeBufferPointer(rebasing: bytes.dropLast()) : bytes
  }

  /// Moves what is left to the front and reads behind it, in a larger block for a longer line.
  private func fill() throws {
    let rest = filled - position
    if rest == memory.count {
      let larger = UnsafeMutableRawBufferPointer.allocate(
        byteCount: 2 * memory.count, alignment: 16)
      larger.copyMemory(from: UnsafeRawBufferPointer(memory))
      memory.deallocate()
      memory = larger
    } else if position > 0, let base = memory.baseAddress {
      memmove(base, base + position, rest)
    }
    position = 0
    let count = try file.read(into: UnsafeMutableRawBufferPointer(rebasing: memory[rest...]))
    filled = rest + count
    isAtEnd = count == 0
    try progress(file.diskBytes)
  }
}

/// The fields of a line, between tabs and spaces.
struct FieldScanner {
  private let line: UnsafeBufferPointer<UInt8>
  private var position = 0

  init(_ line: UnsafeBufferPointer<UInt8>) { self.line = line }

  private func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

  mutating func next() -> UnsafeBufferPointer<UInt8>? {
    while position < line.count, isSpace(line[position]) { position += 1 }
    guard position < line.count else { return nil }
    let start = position
    while position < line.count, !isSpace(line[position]) { position += 1 }
    return UnsafeBufferPointer(rebasing: line[start..<position])
  }

  /// A decimal number, with or without a fraction and an exponent; `-inf` is -infinity.
  ///
  /// Up to 15 digits it is the nearest Double, and the Float nearest to that.
  static func number(_ field: UnsafeBufferPointer<UInt8>) -> Float? {
    var index = 0
    var isNegative = false
    if let sign = field.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") {
      isNegative = sign == UInt8(ascii: "-")
      index = 1
    }
    var mantissa: Int64 = 0
    var scale = 0
    var digits = 0
    var hasPoint = false
    while index < field.count {
      let byte = field[index]
      if byte == UInt8(ascii: "."), !hasPoint {
        hasPoint = true
      } else if byte >= 0x30, byte <= 0x39 {
        guard mantissa < 100_000_000_000_000 else { return slow(field) }
        mantissa = 10 * mantissa + Int64(byte - 0x30)
        digits += 1
        if hasPoint { scale += 1 }
      } else {
        return slow(field)
      }
      index += 1
    }
    guard digits > 0, scale < powers.count else { return slow(field) }
    let value = Double(mantissa) / powers[scale]
    return Float(isNegative ? -value : value)
  }

  /// Powers of ten that a Double has exactly.
  private static let powers: [Double] = (0...22).map { pow(10, Double($0)) }

  private static func slow(_ field: UnsafeBufferPointer<UInt8>) -> Float? {
    guard let value = Double(String(decoding: field, as: UTF8.self)), !value.isNaN else {
      return nil
    }
    return Float(value)
  }
}
