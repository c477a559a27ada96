import Storage

/// Writes a shard from front to back; one writer per file, one thread per writer.
///
/// The file is a sequence of independent zstd frames with content checksums and a seek table. A
/// frame ends where a sentence ends unless one sentence is longer than a frame. The bytes follow
/// from the sentences, the level and the version of zstd alone.
package final class ShardWriter {
  private let path: String
  private let idBytes: Int
  private let eos: Int32
  private let file: FileWriter
  private let compressor: FrameCompressor
  private let payload: UnsafeMutableRawBufferPointer
  private var payloadCount = 0
  private var table = SeekTable()
  private var hash = SHA256()
  private var info: ShardInfo

  /// Creates the file.
  ///
  /// - Parameters:
  ///   - path: Where to write; the last component becomes `file` of the result.
  ///   - idBytes: 2 or 4, see ``Manifest/idBytes``.
  ///   - eos: The id of `</s>`, which closes every sentence.
  ///   - source: Name of the text file, for the manifest.
  ///   - level: Compression level of zstd.
  package init(
    path: String, idBytes: Int, eos: Int32, source: String, level: Int32 = 3
  ) throws(ShardError) {
    precondition(idBytes == 2 || idBytes == 4, "ids of \(idBytes) bytes")
    self.path = path
    self.idBytes = idBytes
    self.eos = eos
    compressor = try FrameCompressor(level: level, path: path)
    do { file = try FileWriter(path: path) } catch { throw .storage(error) }
    payload = .allocate(byteCount: SeekTable.frameLimit, alignment: 16)
    info = ShardInfo(
      file: Files.name(of: path), source: source, sentences: 0, tokens: 0, words: 0, bytes: 0,
      compressedBytes: 0, longestSentence: 0, sha256: "")
  }

  deinit { payload.deallocate() }

  /// Adds a sentence.
  ///
  /// - Parameters:
  ///   - sentence: Its tokens without `</s>`, which is added here; may be empty.
  ///   - words: Words of its text.
  ///   - bytes: UTF-8 bytes of its text and one newline.
  ///   - unknownWords: How many of the words are `<UNK>`, if the text was made with a list.
  package func append(
    _ sentence: UnsafeBufferPointer<Int32>, words: Int, bytes: Int, unknownWords: Int? = nil
  ) throws(ShardError) {
    let size = (sentence.count + 1) * idBytes
    if payloadCount + size > SeekTable.frameLimit { try flush() }
    precondition(!sentence.contains(eos), "</s> inside a sentence of \(info.source)")
    if size <= SeekTable.frameLimit {
      appendAll(sentence)
    } else {
      for id in sentence { try append(id) }
    }
    try append(eos)
    // A sentence longer than a frame leaves a short last frame, so that the next begins one.
    if size > SeekTable.frameLimit { try flush() }
    info.sentences += 1
    info.tokens += sentence.count
    info.words += words
    info.bytes += bytes
    if let unknownWords { info.unknownWords = (info.unknownWords ?? 0) + unknownWords }
    info.longestSentence = max(info.longestSentence, sentence.count)
  }

  /// Adds a sentence.
  package func append(_ sentence: [Int32], words: Int, bytes: Int) throws(ShardError) {
    try sentence.span.withUnsafeBufferPointer { (ids) throws(ShardError) in
      try append(ids, words: words, bytes: bytes)
    }
  }

  /// Writes what is left and the seek table, and flushes the file to the disk.
  ///
  /// - Returns: The entry of the shard in the manifest; its `file` is the bare file name.
  package func finish() throws(ShardError) -> ShardInfo {
    try flush()
    try table.encoded.span.withUnsafeBytes { (bytes) throws(ShardError) in try write(bytes) }
    do { try file.finish() } catch { throw .storage(error) }
    info.compressedBytes = file.byteCount
    info.sha256 = hash.finalize()
    return info
  }

  /// Appends ids for which the frame has room.
  private func appendAll(_ ids: UnsafeBufferPointer<Int32>) {
    guard let target = payload.baseAddress.map({ $0 + payloadCount }) else { return }
    var all: UInt32 = 0
    if idBytes == 2 {
      let target = target.assumingMemoryBound(to: UInt16.self)
      for (place, id) in ids.enumerated() {
        all |= UInt32(bitPattern: id)
        target[place] = UInt16(truncatingIfNeeded: id).littleEndian
      }
      precondition(all <= UInt16.max, "ids of two bytes")
    } else {
      let target = target.assumingMemoryBound(to: UInt32.self)
      for (place, id) in ids.enumerated() {
        target[place] = UInt32(bitPattern: id).littleEndian
      }
    }
    payloadCount += ids.count * idBytes
  }

  private func append(_ id: Int32) throws(ShardError) {
    if payloadCount == SeekTable.frameLimit { try flush() }
    if idBytes == 2 {
      payload.storeBytes(of: UInt16(id).littleEndian, toByteOffset: payloadCount, as: UInt16.self)
    } else {
      payload.storeBytes(of: UInt32(id).littleEndian, toByteOffset: payloadCount, as: UInt32.self)
    }
    payloadCount += idBytes
  }

  private func flush() throws(ShardError) {
    if payloadCount == 0 { return }
    let frame = try compressor.compress(
      UnsafeRawBufferPointer(rebasing: payload.prefix(payloadCount)))
    table.append(compressed: frame.count, decompressed: payloadCount)
    payloadCount = 0
    try write(frame)
  }

  private func write(_ bytes: UnsafeRawBufferPointer) throws(ShardError) {
    hash.update(bytes)
    do { try file.append(bytes) } catch { throw .storage(error) }
  }
}
