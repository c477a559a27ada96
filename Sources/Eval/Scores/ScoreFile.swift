import Foundation
import Storage

/// A text file with the scores of sentences or words, which appears complete or not at all; to `-`, a pipe
/// or a device the lines are written as they come.
package final class ScoreFile {
  private let path: String
  /// Where the file is written before it is renamed; nil for a pipe or a device.
  private let temporary: String?
  private let writer: FileWriter
  private let lines: ScoreLines
  private var buffer: [UInt8] = []
  private var isPending = true

  private static let bufferBytes = 1 << 18

  /// Opens a file beside the target.
  ///
  /// - Parameters:
  ///   - path: The target.
  ///   - lines: What is written of every sentence.
  package init(path: String, lines: ScoreLines) throws {
    let path = Self.standardOutputNames.contains(path) ? Self.standardOutput : path
    self.path = path
    self.lines = lines
    buffer = Array(lines.header.utf8)
    if Self.isStream(path) {
      temporary = nil
      writer =
        path == Self.standardOutput
        ? FileWriter(open: STDOUT_FILENO, path: "standard output") : try FileWriter(path: path)
      return
    }
    // A rename would replace a folder or a socket.
    var status = stat()
    if stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG {
      throw StorageError.notAFile(path: path)
    }
    // Files that a killed process has left; it does no harm if they cannot be removed.
    _ = try? AtomicDirectory.removeAbandoned(besides: path)
    let partial = AtomicFile.temporaryPath(besides: path)
    temporary = partial
    do {
      writer = try FileWriter(path: partial)
    } catch StorageError.system(_, let doing, let code) {
      // The name of the file that was asked for says more than that of the temporary one.
      throw StorageError.system(path: path, doing: doing, code: code)
    }
  }

  /// The name of standard output on the command line.
  package static let standardOutput = "-"

  private static let standardOutputNames = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"]

  /// Whether a path is standard output, to which only scores may be written then.
  package static func isStandardOutput(_ path: String) -> Bool {
    path == standardOutput || standardOutputNames.contains(path)
  }

  /// Whether a path leads to standard output, a pipe or a device, which cannot be replaced.
  private static func isStream(_ path: String) -> Bool {
    if path == standardOutput { return true }
    var status = stat()
    return stat(path, &status) == 0
      && [S_IFIFO, S_IFCHR, S_IFSOCK].contains(status.st_mode & S_IFMT)
  }

  deinit {
    // An error cannot be reported any more; the file that remains is recognisable by its name.
    if isPending, let temporary { try? Files.remove(temporary) }
  }

  /// Adds one sentence.
  package func append(_ sentence: ScoredSentence) throws {
    lines.append(sentence, to: &buffer)
    if buffer.count >= Self.bufferBytes { try flush() }
  }

  /// Flushes to the disk and gives the file its name.
  package func finish() throws {
    try flush()
    try writer.finish()
    if let temporary { try Files.rename(temporary, to: path) }
    isPending = false
  }

  private func flush() throws {
    try writer.append(buffer)
    buffer.removeAll(keepingCapacity: true)
  }
}
