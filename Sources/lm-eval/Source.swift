import Eval
import Foundation
import LMData
import Storage
import Tokenize

/// The text that is to be scored: a split of a data set, or files.
struct Source {
  /// For the table and the progress line.
  let name: String
  /// Bytes of the text, if they are known beforehand.
  let bytes: Double?
  /// Reads the text from its beginning every time.
  private let run: (PerplexityScorer) throws -> PerplexityReport

  func report(_ scorer: PerplexityScorer) throws -> PerplexityReport { try run(scorer) }

  init(_ options: LMEval, trained: TrainedModel, tokenizer: SentencePieceModel) throws {
    if let data = options.data {
      let dataSet = try DataSet(directory: data)
      try trained.check(dataSet)
      let split = options.split ?? "test"
      // Refuses a split without sentences before the progress begins.
      _ = try dataSet.split(split)
      let mode = options.length.map { SequenceMode.stream(length: $0) } ?? .sentences
      name = "split \(split) of \(data)" + (options.length.map { ", windows of \($0)" } ?? "")
      bytes = Double(dataSet.manifest.totals(of: split).bytes)
      run = { try $0.report(dataSet: dataSet, split: split, mode: mode) }
    } else {
      let files = options.text
      name = files.joined(separator: ", ")
      let isPlain = files.allSatisfy { !$0.hasSuffix(".gz") && !$0.hasSuffix(".zst") }
      let sizes = files.map { try? Files.size(of: $0) }
      bytes = isPlain && !sizes.contains(nil) ? Double(sizes.reduce(0) { $0 + ($1 ?? 0) }) : nil
      // One for all passes: to make its tables takes longer than to score a sentence.
      let encoder = try LineEncoder(model: tokenizer)
      // Read once now, so that what cannot be read is known before anything is scored.
      _ = try FileLines(files, encoder: encoder)
      run = { scorer in
        let lines = try FileLines(files, encoder: encoder)
        return try scorer.report { try lines.next() }
      }
    }
  }
}

/// The lines of several files, one after the other.
final class FileLines {
  private let encoder: LineEncoder
  private var remaining: ArraySlice<String>
  private var current: (path: String, lines: TextLines)?
  private var first: TextSentence?

  /// Reads the first line, so that what cannot be read is known before anything is scored.
  init(_ files: [String], encoder: LineEncoder) throws {
    self.encoder = encoder
    remaining = files[...]
    for path in files where !Files.exists(path) {
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
          text: line.text, ids: line.ids, place: "\(path), line \(line.number)")
      }
      guard let path = remaining.popFirst() else { return nil }
      current = (path, try TextLines(path: path, encoder: encoder))
    }
  }
}
