import Eval
import Foundation
import Storage
import Tokenize

/// The lines of several files, one after the other.
final class FileLines {
  private let encoder: LineEncoder
  private let vocabulary: WordList?
  private var remaining: ArraySlice<String>
  /// Of all.
  private let files: Int
  private let lineEnds: LineEnds
  private var current: (path: String, lines: TextLines)?
  private var first: TextSentence?
  /// What is unusual in the files read to their end, a sentence each.
  private(set) var notes: [String] = []
  private var hasMark = false

  /// How the text is read if not byte for byte.
  var reading: String? {
    let parts = [
      hasMark ? "without its byte order mark" : nil, lineEnds == .any ? Self.anyLineEnd : nil,
    ].compactMap { $0 }
    return parts.isEmpty ? nil : parts.joined(separator: ", ")
  }

  /// The note that carriage returns end lines.
  static let anyLineEnd = "CR LF and CR taken as line ends"

  /// Reads the first line, so that a file that cannot be read is reported before scoring begins.
  init(
    _ files: [String], encoder: LineEncoder, vocabulary: WordList? = nil, lineEnds: LineEnds
  ) throws {
    self.encoder = encoder
    self.vocabulary = vocabulary
    self.lineEnds = lineEnds
    remaining = files[...]
    self.files = files.count
    for path in files where path != PipeSpool.standardInput && !Files.exists(path) {
      throw StorageError.system(path: path, doing: "open", code: ENOENT)
    }
    first = try read()
  }

  func next() throws -> TextSentence? {
    guard let line = first else { return try read() }
    first = nil
    return line
  }

  private func read() throws -> TextSentence? {
    while true {
      if let (path, lines) = current, let line = try lines.nextLine() {
        return TextSentence(
          text: line.text, original: line.original, ids: line.ids,
          place: "\(PipeSpool.name(of: path)), line \(line.number)", name: PipeSpool.name(of: path),
          number: line.number, source: files - remaining.count - 1)
      }
      if let (path, lines) = current {
        notes += lines.form.notes(path: PipeSpool.name(of: path), lineEnds: lineEnds)
        hasMark = hasMark || lines.form.hasByteOrderMark
      }
      current = nil
      guard let path = remaining.popFirst() else { return nil }
      current = (
        path,
        try TextLines(path: path, encoder: encoder, vocabulary: vocabulary, lineEnds: lineEnds)
      )
    }
  }
}
