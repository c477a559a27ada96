import Foundation
import Storage

/// Cuts a text file into blocks of whole lines; where the cuts are follows from the text alone.
final class BlockReader {
  /// Most bytes of a block, unless one line is longer.
  static let blockBytes = 1 << 20

  /// Longest line in bytes.
  static let longestLine = 1 << 28

  private let source: ByteSource
  private var rest: [UInt8] = []
  private var nextNumber = 0
  private var nextLine = 0
  private var isAtEnd = false
  private var lineEndReader: LineEndReader?
  private var found = TextForm()

  /// - Parameter lineEnds: What ends a line; carriage returns that do become newlines.
  init(path: String, lineEnds: LineEnds = .newline) throws(TokenizerError) {
    source = try ByteSource.open(path)
    if lineEnds == .any { lineEndReader = LineEndReader() }
  }

  /// What the text up to here has beside its lines.
  var form: TextForm {
    var form = found
    if let converted = lineEndReader?.form { form.carriageReturns = converted.carriageReturns }
    return form
  }

  /// Bytes of the file on the disk that have been read so far.
  var diskBytes: Int { source.diskBytes }

  /// Reads the next block, or returns false at the end.
  ///
  /// - Throws: ``TokenizerError/emptyText(path:)`` if there is not one byte in the file.
  func next(into block: TextBlock) throws(TokenizerError) -> Bool {
    if isAtEnd && rest.isEmpty { return false }
    if block.capacity < rest.count { block.grow(to: rest.count) }
    memcpy(block.memory, rest, rest.count)
    var filled = rest.count
    rest.removeAll(keepingCapacity: true)
    // A block filled up to the same size always ends at the same newline.
    var limit = max(Self.blockBytes, filled)
    var cut = 0
    if nextNumber == 0 { filled = try begin(block) }
    while true {
      if block.capacity < limit { block.grow(to: limit) }
      filled = try fill(block, from: filled, to: limit)
      if isAtEnd {
        cut = filled
        break
      }
      if let newline = memrchr(block.memory, 0x0A, filled) {
        cut = UnsafeMutableRawPointer(newline) - UnsafeMutableRawPointer(block.memory) + 1
        break
      }
      if limit >= Self.longestLine {
        throw .lineTooLong(path: source.path, limit: Self.longestLine)
      }
      limit *= 2
      try requireMemory(forLine: limit)
    }
    if cut == 0 {
      if nextNumber == 0 { throw .emptyText(path: source.path) }
      return false
    }
    rest.append(contentsOf: UnsafeBufferPointer(start: block.memory + cut, count: filled - cut))
    block.end(at: cut)
    block.number = nextNumber
    block.firstLine = nextLine
    if lineEndReader == nil { found.count(in: block.bytes) }
    nextNumber += 1
    nextLine += Self.newlines(in: block.bytes)
    return true
  }

  /// Reads the first bytes; a byte order mark is passed over, so that the cuts are those of the text
  /// without it.
  private func begin(_ block: TextBlock) throws(TokenizerError) -> Int {
    let filled = try fill(block, from: 0, to: ByteOrderMark.longest)
    let bytes = UnsafeBufferPointer(start: block.memory, count: filled)
    if let encoding = ByteOrderMark.otherEncoding(bytes) {
      throw .otherEncoding(path: source.path, found: encoding)
    }
    guard bytes.starts(with: ByteOrderMark.utf8) else { return filled }
    found.hasByteOrderMark = true
    let mark = ByteOrderMark.utf8.count
    memmove(block.memory, block.memory + mark, filled - mark)
    return filled - mark
  }

  /// Throws unless there is memory for a line that is longer than half of `limit`.
  private func requireMemory(forLine limit: Int) throws(TokenizerError) {
    // Shorter ones are nothing beside the tables of words.
    guard limit > 1 << 24 else { return }
    do {
      // The line, a copy for the sample or with its unknown words replaced, and an id for most bytes.
      try MemoryLimit.require(
        4 * limit,
        for: "a line of more than \(limit / 2) bytes in \(PipeSpool.name(of: source.path))",
        advice: "write one sentence to a line")
    } catch {
      throw .memory(error)
    }
  }

  private func fill(
    _ block: TextBlock, from start: Int, to limit: Int
  ) throws(TokenizerError) -> Int {
    var filled = start
    while filled < limit && !isAtEnd {
      let place = block.memory + filled
      let count = try source.read(
        into: UnsafeMutableRawBufferPointer(start: place, count: limit - filled))
      if count == 0 {
        isAtEnd = true
        lineEndReader?.finish()
      }
      filled += lineEndReader?.convert(place, count) ?? count
    }
    return filled
  }

  private static func newlines(in bytes: UnsafeBufferPointer<UInt8>) -> Int {
    var total = 0
    for byte in bytes { total &+= byte == 0x0A ? 1 : 0 }
    return total
  }
}

/// The place of the last such byte; Foundation does not offer the GNU function.
private func memrchr(
  _ base: UnsafeMutablePointer<UInt8>, _ byte: UInt8, _ count: Int
) -> UnsafeMutablePointer<UInt8>? {
  var index = count
  while index > 0 {
    index -= 1
    if base[index] == byte { return base + index }
  }
  return nil
}
