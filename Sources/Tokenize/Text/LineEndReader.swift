import Foundation

/// Turns carriage returns into newlines as bytes come in, pairs with a newline into one.
struct LineEndReader {
  /// Whether the last byte was a carriage return: a newline after it ends no other line.
  private var isAfterReturn = false
  private(set) var form = TextForm()

  /// Rewrites bytes where they are.
  ///
  /// - Returns: How many are left.
  mutating func convert(_ base: UnsafeMutablePointer<UInt8>, _ count: Int) -> Int {
    if !isAfterReturn, memchr(base, 0x0D, count) == nil { return count }
    var kept = 0
    for index in 0..<count {
      let byte = base[index]
      if isAfterReturn {
        isAfterReturn = false
        form.count(isBeforeNewline: byte == 0x0A)
        if byte == 0x0A { continue }
      }
      isAfterReturn = byte == 0x0D
      base[kept] = isAfterReturn ? 0x0A : byte
      kept += 1
    }
    return kept
  }

  /// Called at the end of the text.
  mutating func finish() {
    if isAfterReturn { form.count(isBeforeNewline: false) }
    isAfterReturn = false
  }
}
