import Storage

/// Reads a shard through a memory map; frames may be decoded from several threads at once.
///
/// The file is not trusted: the frames of the seek table must cover the file, their sizes must add up
/// to the counts of the manifest, every frame has a checksum, and every id must be below the vocabulary
/// size.
package final class ShardReader: Sendable {
  package let path: String
  package let info: ShardInfo
  private let idBytes: Int
  private let vocabularySize: Int
  private let file: MappedFile
  private let table: SeekTable

  /// Opens a shard and checks its seek table.
  ///
  /// - Parameters:
  ///   - path: The shard file.
  ///   - info: Its entry in the manifest.
  ///   - idBytes: 2 or 4.
  ///   - vocabularySize: Every id must be below it.
  package init(
    path: String, info: ShardInfo, idBytes: Int, vocabularySize: Int = Int(Int32.max)
  ) throws(ShardError) {
    precondition(idBytes == 2 || idBytes == 4, "ids of \(idBytes) bytes")
    self.path = path
    self.info = info
    self.idBytes = idBytes
    self.vocabularySize = vocabularySize
    do { file = try MappedFile(path: path) } catch { throw .storage(error) }
    if file.bytes.count != info.compressedBytes {
      throw .mismatch(
        path, "its size in bytes", expected: info.compressedBytes, found: file.bytes.count)
    }
    table = try SeekTable(file: file.bytes, idBytes: idBytes, path: path)
    let found = table.entries.reduce(0) { $0 + $1.decompressed } / idBytes
    if found != info.ids {
      throw .mismatch(path, "the number of ids in its seek table", expected: info.ids, found: found)
    }
  }

  package var frameCount: Int { table.entries.count }

  /// The ids of a frame, each sentence closed by `</s>`.
  package func decodeFrame(_ index: Int) throws(ShardError) -> [Int32] {
    var ids: [Int32] = []
    try decode(index, onto: &ids)
    return ids
  }

  /// The ids of all the frames.
  package func decodeAll() throws(ShardError) -> [Int32] {
    var ids: [Int32] = []
    // Neither manifest nor seek table is trusted with an allocation before the frames have been read;
    // ids of real text take half a byte or more.
    ids.reserveCapacity(min(info.ids, 2 * file.bytes.count))
    for index in 0..<frameCount {
      try decode(index, onto: &ids)
      // Only the ids are kept: the mapped file beside them would double the memory.
      let entry = table.entries[index]
      file.forget(entry.offset..<entry.offset + entry.compressed)
    }
    return ids
  }

  /// Reads the whole file: checksum, every frame, and the counts of the manifest.
  ///
  /// - Parameters:
  ///   - eos: The id of `</s>`.
  ///   - unknown: The id of `<UNK>` where every unknown word of the manifest has it; nil elsewhere.
  package func verify(eos: Int32, unknown: Int32? = nil) throws(ShardError) {
    var hash = SHA256()
    hash.update(file.bytes)
    let digest = hash.finalize()
    if digest != info.sha256 {
      throw .mismatch(path: path, what: "its SHA-256", expected: info.sha256, found: digest)
    }
    let shard = try DecodedShard(reader: self, eos: eos)
    guard let unknown, let expected = info.unknownWords else { return }
    let found = shard.ids.count { $0 == unknown }
    if found != expected {
      throw .mismatch(path, "the number of its <UNK>", expected: expected, found: found)
    }
  }

  private func decode(_ index: Int, onto ids: inout [Int32]) throws(ShardError) {
    let entry = table.entries[index]
    let count = entry.decompressed / idBytes
    let frame = UnsafeRawBufferPointer(
      rebasing: file.bytes[entry.offset..<entry.offset + entry.compressed])
    let largest = withUnsafeTemporaryAllocation(byteCount: entry.decompressed, alignment: 16) {
      payload -> Result<UInt32, ShardError> in
      if let found = decompressFrame(frame, into: payload) {
        return .failure(
          .damagedFrame(
            path: path, frame: index, expected: "\(entry.decompressed) bytes", found: found))
      }
      return .success(widen(payload, onto: &ids))
    }
    let found = try largest.get()
    if count > 0 && Int(found) >= vocabularySize {
      throw .damagedFrame(
        path: path, frame: index, expected: "ids below the vocabulary size \(vocabularySize)",
        found: "id \(found)")
    }
  }

  /// Appends the ids of a payload, and returns the largest.
  private func widen(
    _ payload: UnsafeMutableRawBufferPointer, onto ids: inout [Int32]
  ) -> UInt32 {
    var largest: UInt32 = 0
    if idBytes == 2 {
      for id in payload.assumingMemoryBound(to: UInt16.self) {
        let value = UInt32(UInt16(littleEndian: id))
        largest = max(largest, value)
        ids.append(Int32(truncatingIfNeeded: value))
      }
    } else {
      for id in payload.assumingMemoryBound(to: UInt32.self) {
        let value = UInt32(littleEndian: id)
        largest = max(largest, value)
        ids.append(Int32(truncatingIfNeeded: value))
      }
    }
    return largest
  }
}
