import CZstd

/// Compresses frame after frame with one context.
final class FrameCompressor {
  private let context: OpaquePointer
  private let path: String
  private let output: UnsafeMutableRawBufferPointer

  /// - Parameters:
  ///   - level: Level of zstd; the bytes depend on it and on the version of the library.
  ///   - path: Named in errors.
  init(level: Int32, path: String) throws(ShardError) {
    guard let context = ZSTD_createCCtx() else {
      throw .compression(path: path, reason: "not enough memory")
    }
    self.context = context
    self.path = path
    output = .allocate(byteCount: ZSTD_compressBound(SeekTable.frameLimit), alignment: 16)
    try check(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level))
    try check(ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1))
  }

  deinit {
    ZSTD_freeCCtx(context)
    output.deallocate()
  }

  /// One frame, its size and checksum included; valid until the next call.
  ///
  /// - Parameter payload: At most ``SeekTable/frameLimit`` bytes.
  func compress(_ payload: UnsafeRawBufferPointer) throws(ShardError) -> UnsafeRawBufferPointer {
    precondition(payload.count <= SeekTable.frameLimit)
    let size = ZSTD_compress2(
      context, output.baseAddress, output.count, payload.baseAddress, payload.count)
    try check(size)
    return UnsafeRawBufferPointer(rebasing: output.prefix(size))
  }

  private func check(_ status: Int) throws(ShardError) {
    if ZSTD_isError(status) == 0 { return }
    throw .compression(path: path, reason: String(cString: ZSTD_getErrorName(status)))
  }
}

/// Decodes one frame that must fill `target` exactly.
///
/// - Returns: What is wrong, in words, or `nil`.
func decompressFrame(
  _ frame: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
) -> String? {
  // Without this check two short frames in a row would pass for one long frame.
  let length = ZSTD_findFrameCompressedSize(frame.baseAddress, frame.count)
  if ZSTD_isError(length) != 0 { return String(cString: ZSTD_getErrorName(length)) }
  if length != frame.count { return "\(length) compressed bytes" }
  let size = ZSTD_decompress(target.baseAddress, target.count, frame.baseAddress, frame.count)
  if ZSTD_isError(size) != 0 { return String(cString: ZSTD_getErrorName(size)) }
  return size == target.count ? nil : "\(size) bytes"
}

/// The library that compresses shards.
package enum Zstd {
  /// The version that is linked, such as `1.5.4`.
  package static var version: String { String(cString: ZSTD_versionString()) }
}
