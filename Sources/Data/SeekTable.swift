/// Offsets and sizes of the frames of a shard, in zstd's seekable format (contrib/seekable_format).
///
/// The table is a skippable frame at the end of the file, which `zstd -dc` skips:
///
///     0x184D2A5E, size | (compressed, decompressed) per frame | frames, 0, 0x8F92EAB1
struct SeekTable: Equatable, Sendable {
  struct Entry: Equatable, Sendable {
    let offset: Int
    let compressed: Int
    let decompressed: Int
  }

  static let skippableMagic: UInt32 = 0x184D_2A5E
  static let footerMagic: UInt32 = 0x8F92_EAB1

  /// Largest number of bytes that a frame may decode to; no size in a file is trusted past it.
  static let frameLimit = 1 << 20

  private static let headerSize = 8
  private static let footerSize = 9

  private(set) var entries: [Entry] = []

  mutating func append(compressed: Int, decompressed: Int) {
    let offset = entries.last.map { $0.offset + $0.compressed } ?? 0
    entries.append(Entry(offset: offset, compressed: compressed, decompressed: decompressed))
  }

  /// The bytes of the table as they stand at the end of the file.
  var encoded: [UInt8] {
    var bytes: [UInt8] = []
    func append(_ value: UInt32) {
      withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }
    append(Self.skippableMagic)
    append(UInt32(8 * entries.count + Self.footerSize))
    for entry in entries {
      append(UInt32(entry.compressed))
      append(UInt32(entry.decompressed))
    }
    append(UInt32(entries.count))
    bytes.append(0)
    append(Self.footerMagic)
    return bytes
  }

  init() {}

  /// Reads the table and checks that its frames cover the file exactly.
  ///
  /// - Parameters:
  ///   - file: All the bytes of the shard.
  ///   - idBytes: Every frame must hold a whole number of ids of this size.
  ///   - path: Named in errors.
  init(file: UnsafeRawBufferPointer, idBytes: Int, path: String) throws(ShardError) {
    func word(_ offset: Int) -> UInt32 {
      UInt32(littleEndian: file.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }
    func require(_ what: String, _ expected: UInt32, at offset: Int) throws(ShardError) {
      let found = word(offset)
      if found == expected { return }
      throw .mismatch(
        path: path, what: what, expected: "0x" + String(expected, radix: 16),
        found: "0x" + String(found, radix: 16))
    }
    let fixed = Self.headerSize + Self.footerSize
    guard file.count >= fixed else {
      throw .mismatch(
        path: path, what: "its size in bytes", expected: "at least \(fixed)",
        found: "\(file.count)")
    }
    try require("the mark at its end", Self.footerMagic, at: file.count - 4)
    guard file[file.count - 5] == 0 else {
      throw .mismatch(
        path, "the descriptor of its seek table", expected: 0, found: Int(file[file.count - 5]))
    }
    let count = Int(word(file.count - Self.footerSize))
    let tableSize = fixed + 8 * count
    guard tableSize <= file.count else {
      throw .mismatch(
        path: path, what: "the number of its frames",
        expected: "at most \((file.count - fixed) / 8)", found: "\(count)")
    }
    let start = file.count - tableSize
    try require("the mark of its seek table", Self.skippableMagic, at: start)
    try require("the size of its seek table", UInt32(tableSize - 8), at: start + 4)
    entries.reserveCapacity(count)
    for frame in 0..<count {
      let place = start + Self.headerSize + 8 * frame
      try appendChecked(
        compressed: Int(word(place)), decompressed: Int(word(place + 4)), end: start,
        idBytes: idBytes, path: path)
    }
    let end = entries.last.map { $0.offset + $0.compressed } ?? 0
    if end != start {
      throw .mismatch(path, "the end of its last frame", expected: start, found: end)
    }
  }

  private mutating func appendChecked(
    compressed: Int, decompressed: Int, end: Int, idBytes: Int, path: String
  ) throws(ShardError) {
    let frame = entries.count
    guard decompressed > 0, decompressed <= Self.frameLimit, decompressed % idBytes == 0 else {
      throw .damagedFrame(
        path: path, frame: frame,
        expected: "1 to \(Self.frameLimit) bytes of ids of \(idBytes) bytes",
        found: "\(decompressed) bytes")
    }
    append(compressed: compressed, decompressed: decompressed)
    let entry = entries[frame]
    guard compressed > 0, entry.offset + compressed <= end else {
      throw .damagedFrame(
        path: path, frame: frame, expected: "1 to \(end - entry.offset) compressed bytes",
        found: "\(compressed)")
    }
  }
}
