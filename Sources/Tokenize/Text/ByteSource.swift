import CZstd
import Foundation
import Storage

/// Reads a text file from front to back, decompressed where its name ends in `.gz` or `.zst` or its first
/// bytes say that it is compressed.
///
/// One source serves one thread at a time.
class ByteSource {
  let path: String
  fileprivate let descriptor: Int32

  /// Opens a file by the ending of its name; a pipe, and a file of another name, by its first bytes.
  ///
  /// A pipe is kept and can be opened again; see ``PipeSpool``.
  static func open(_ path: String) throws(TokenizerError) -> ByteSource {
    let place: String
    do { place = try PipeSpool.readable(path) } catch { throw .storage(error) }
    switch try form(of: path, at: place) {
    case .plain: return try ByteSource(path, at: place)
    case .gzip: return try GzipSource(path, at: place)
    case .zstd: return try ZstdSource(path, at: place)
    }
  }

  private static func form(of path: String, at place: String) throws(TokenizerError) -> Form {
    let named = place == path ? Form(ending: path) : .plain
    // What is no file is not to be read twice.
    guard named == .plain, Files.sizeIfRegular(place) != nil else { return named }
    return try Form(beginning: ByteSource(path, at: place))
  }

  /// How a file is compressed.
  private enum Form {
    case plain, gzip, zstd

    init(ending path: String) {
      self = path.hasSuffix(".gz") ? .gzip : path.hasSuffix(".zst") ? .zstd : .plain
    }

    /// By the first bytes: no UTF-8 begins as compressed data do.
    init(beginning source: ByteSource) throws(TokenizerError) {
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 4, alignment: 4)
      defer { memory.deallocate() }
      let bytes = Array(memory.prefix(try source.read(into: memory)))
      self =
        bytes.starts(with: [0x1F, 0x8B])
        ? .gzip : bytes == [0x28, 0xB5, 0x2F, 0xFD] ? .zstd : .plain
    }
  }

  /// Whether a file or pipe was written by gzip or zstd, as far as it can be read.
  static func isCompressed(_ path: String) -> Bool {
    guard let place = try? PipeSpool.readable(path) else { return false }
    return (try? form(of: path, at: place) != .plain) ?? false
  }

  /// - Parameters:
  ///   - path: Named in errors.
  ///   - place: What is opened.
  fileprivate init(_ path: String, at place: String) throws(TokenizerError) {
    self.path = PipeSpool.name(of: path)
    descriptor = Foundation.open(place, O_RDONLY | O_CLOEXEC)
    if descriptor < 0 {
      throw .storage(.system(path: self.path, doing: "open", code: errno))
    }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Bytes of the file on the disk that have been read so far.
  var diskBytes: Int { max(0, Int(lseek(descriptor, 0, SEEK_CUR))) }

  /// Reads up to `target.count` bytes of text; 0 at the end.
  func read(into target: UnsafeMutableRawBufferPointer) throws(TokenizerError) -> Int {
    try readBytes(of: descriptor, into: target)
  }

  fileprivate func readBytes(
    of descriptor: Int32, into target: UnsafeMutableRawBufferPointer
  ) throws(TokenizerError) -> Int {
    while true {
      let count = Foundation.read(descriptor, target.baseAddress, target.count)
      if count >= 0 { return count }
      if errno != EINTR { throw .storage(.system(path: path, doing: "read", code: errno)) }
    }
  }
}

/// Zstandard, any number of frames.
///
/// A frame says how much memory its window takes, and a file of a few bytes may say 2 GiB: it gets
/// 128 MiB, as zstd itself gives, or 64 times the size of the file.
private final class ZstdSource: ByteSource {
  private let memory: Memory
  private var input = ZSTD_inBuffer(src: nil, size: 0, pos: 0)
  private var isInsideFrame = false

  /// What must be freed, even if the file does not open.
  private final class Memory {
    let context: OpaquePointer
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 17, alignment: 16)

    init?() {
      guard let context = ZSTD_createDCtx() else { return nil }
      self.context = context
    }

    /// - Parameter fileBytes: Size of the file; 0 for a pipe.
    func limitWindow(fileBytes: Int) {
      var log: Int32 = 27
      while log < 31 && fileBytes >> (Int(log) + 1 - 6) > 0 { log += 1 }
      ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, log)
    }

    deinit {
      ZSTD_freeDCtx(context)
      buffer.deallocate()
    }
  }

  override init(_ path: String, at place: String) throws(TokenizerError) {
    guard let memory = Memory() else {
      throw .undecodable(path: path, reason: "not enough memory")
    }
    self.memory = memory
    try super.init(path, at: place)
    memory.limitWindow(fileBytes: max(0, Int(lseek(descriptor, 0, SEEK_END))))
    lseek(descriptor, 0, SEEK_SET)
  }

  override func read(into target: UnsafeMutableRawBufferPointer) throws(TokenizerError) -> Int {
    var output = ZSTD_outBuffer(dst: target.baseAddress, size: target.count, pos: 0)
    while true {
      let before = input.pos
      let status = ZSTD_decompressStream(memory.context, &output, &input)
      if ZSTD_isError(status) != 0 {
        var reason = String(cString: ZSTD_getErrorName(status))
        if ZSTD_getErrorCode(status) == ZSTD_error_frameParameter_windowTooLarge {
          reason += "; compress it again without --long"
        }
        throw .undecodable(path: path, reason: reason)
      }
      // Zero says that a frame is complete; without progress it would ask for the next one.
      if output.pos > 0 || input.pos > before { isInsideFrame = status != 0 }
      if output.pos > 0 { return output.pos }
      if input.pos < input.size { continue }
      let count = try readBytes(of: descriptor, into: memory.buffer)
      if count == 0 {
        if isInsideFrame { throw .undecodable(path: path, reason: "the file is cut short") }
        return 0
      }
      input = ZSTD_inBuffer(src: memory.buffer.baseAddress, size: count, pos: 0)
    }
  }
}

/// Gzip, by way of the `gzip` program.
private final class GzipSource: ByteSource {
  private let process = Process()
  private let pipe = Pipe()
  private let errors = Pipe()
  private var isFinished = false

  override init(_ path: String, at place: String) throws(TokenizerError) {
    try super.init(path, at: place)
    guard let program = Self.program else {
      throw .undecodable(path: path, reason: "the program gzip is not installed")
    }
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = ["-dc"]
    process.standardInput = FileHandle(fileDescriptor: descriptor, closeOnDealloc: false)
    process.standardOutput = pipe
    process.standardError = errors
    do {
      try process.run()
    } catch {
      throw .undecodable(path: path, reason: "\(program) did not start: \(error)")
    }
    // The parent's copy must go, or the end of the output would never be seen.
    try? pipe.fileHandleForWriting.close()
    try? errors.fileHandleForWriting.close()
  }

  deinit {
    if !isFinished && process.isRunning { process.terminate() }
  }

  override func read(into target: UnsafeMutableRawBufferPointer) throws(TokenizerError) -> Int {
    let count = try readBytes(of: pipe.fileHandleForReading.fileDescriptor, into: target)
    if count > 0 || isFinished { return count }
    isFinished = true
    let message = errors.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    // Status 2 is a warning, such as zeros after the end, and the text is whole.
    guard process.terminationStatus == 0 || process.terminationStatus == 2 else {
      let words = String(decoding: message, as: UTF8.self).split(whereSeparator: \.isWhitespace)
      throw .undecodable(path: path, reason: words.joined(separator: " "))
    }
    return 0
  }

  private static let program: String? = {
    let folders = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
    return folders.split(separator: ":").map { "\($0)/gzip" }
      .first { FileManager.default.isExecutableFile(atPath: $0) }
  }()
}
