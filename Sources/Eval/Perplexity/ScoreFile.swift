import Foundation
package import LMData
import Storage

/// A text file with one line per scored sentence, which appears complete or not at all; to `-`, a pipe
/// or a device the lines are written as they come.
///
/// As a table, the first line begins with `#` and names the columns, which are separated by tabs: nats, tokens,
/// words, text, and on demand every token with its log-probability. Nats and log-probabilities are
/// written so that reading them gives the same number.
///
/// In the text, `\t`, `\r`, `\n` and `\\` stand for tab, carriage return, newline and backslash. The
/// last column is `token:logprob` for every token and for the closing `</s>`, separated by single
/// spaces; the number begins after the last colon. In a token, `▁` stands for a space, and any byte
/// that is no whole UTF-8 character by itself is written as `\xE2`.
package final class ScoreFile {
  private let path: String
  /// Where the file is written before it is renamed; nil for a pipe or a device.
  private let temporary: String?
  private let writer: FileWriter
  private let tokens: TokenTable?
  private let format: ScoreFormat
  private var buffer: [UInt8] = []
  private var isPending = true

  private static let bufferBytes = 1 << 18

  /// Opens a file beside the target.
  ///
  /// - Parameter tokens: Spells the tokens of the last column, or nil to leave it out.
  package init(path: String, tokens: TokenTable?, format: ScoreFormat = .table) throws {
    let path = Self.standardOutputNames.contains(path) ? Self.standardOutput : path
    self.path = path
    self.tokens = tokens
    self.format = format
    let columns = ["nats", "tokens", "words", "text"] + (tokens == nil ? [] : ["token:logprob"])
    if format == .table { buffer = Array("# \(columns.joined(separator: "\t"))\n".utf8) }
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
    switch format {
    case .table: appendTableLine(sentence)
    case .kenlm:
      // Adding zero turns the -0 of a certain sentence into 0.
      let total = -sentence.score.nats / log(10) + 0
      buffer += "Total: \(total) OOV: \(sentence.unknownWords)\n".utf8
    }
    if buffer.count >= Self.bufferBytes { try flush() }
  }

  private func appendTableLine(_ sentence: ScoredSentence) {
    buffer += "\(sentence.score.nats)\t\(sentence.tokens)\t\(sentence.words)\t".utf8
    Self.escape(sentence.text, into: &buffer)
    if let tokens {
      for (index, (id, nll)) in zip(sentence.score.targets, sentence.score.nllNats).enumerated() {
        buffer.append(index == 0 ? UInt8(ascii: "\t") : UInt8(ascii: " "))
        if index == sentence.tokens {
          buffer += "</s>".utf8
        } else {
          Self.spell(tokens[id], into: &buffer)
        }
        buffer += ":\(0 - Double(nll))".utf8
      }
    }
    buffer.append(UInt8(ascii: "\n"))
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

  private static func escape(_ text: some Sequence<UInt8>, into buffer: inout [UInt8]) {
    for byte in text {
      switch byte {
      case UInt8(ascii: "\t"): buffer += "\\t".utf8
      case UInt8(ascii: "\r"): buffer += "\\r".utf8
      case UInt8(ascii: "\n"): buffer += "\\n".utf8
      case UInt8(ascii: "\\"): buffer += "\\\\".utf8
      default: buffer.append(byte)
      }
    }
  }

  private static func spell(_ token: ArraySlice<UInt8>, into buffer: inout [UInt8]) {
    guard let text = String(validating: token, as: UTF8.self) else {
      let digits = Array("0123456789ABCDEF".utf8)
      for byte in token {
        buffer += "\\x".utf8
        buffer += [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
      return
    }
    escape(text.replacing(" ", with: "▁").utf8, into: &buffer)
  }
}
