import Foundation
import Storage
import Tokenize

/// Reads an n-gram model in the ARPA format, plain or written by gzip or zstd.
///
///     \data\
///     ngram 1=4
///
///     \1-grams:
///     -0.7    the    -0.3
///
///     \end\
///
/// A line has log10 of the probability, the words, and where it is not 0 log10 of the backoff weight, with
/// tabs or spaces between them.
package struct ArpaReader: ~Copyable {
  private let path: String
  private let lines: LineScanner
  private var number = 0
  /// Whether `<unk>` and `<UNK>` have both been there.
  private var hasBothMarks = false

  /// Reads a model.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - progress: Told of bytes of the file that were read, now and then; may throw to stop.
  /// - Throws: `ArpaError` or `TokenizerError` with path and line.
  package static func read(
    _ path: String, progress: @escaping (Int) throws -> Void = { _ in }
  ) throws -> NgramModel {
    var reader = ArpaReader(
      path: path, lines: LineScanner(try DecompressedFile(path: path), progress: progress))
    return try reader.model()
  }

  private init(path: String, lines: LineScanner) {
    self.path = path
    self.lines = lines
  }

  private mutating func next() throws -> UnsafeBufferPointer<UInt8>? {
    number += 1
    guard let line = try lines.next() else { return nil }
    guard number == 1 else { return line }
    if let found = ByteOrderMark.otherEncoding(line.prefix(ByteOrderMark.longest)) {
      throw TokenizerError.otherEncoding(path: path, found: found)
    }
    // The mark is no part of the first line.
    let mark = line.starts(with: ByteOrderMark.utf8) ? ByteOrderMark.utf8.count : 0
    return UnsafeBufferPointer(rebasing: line.dropFirst(mark))
  }

  /// The next line that is not empty, or what is missing.
  private mutating func nextFilled(_ expected: String) throws -> UnsafeBufferPointer<UInt8> {
    while let line = try next() { if !line.isEmpty { return line } }
    throw ArpaError.incomplete(path: path, expected: expected)
  }

  private func wrong(_ line: UnsafeBufferPointer<UInt8>, _ expected: String) -> ArpaError {
    let text = String(decoding: line.prefix(40), as: UTF8.self)
    return .line(
      path: path, number: number, expected: expected,
      found: line.isEmpty ? "an empty line" : "\"\(text)\(line.count > 40 ? "…" : "")\"")
  }

  private mutating func model() throws -> NgramModel {
    // What stands before it is a comment.
    while true {
      let line = try nextFilled("\\data\\")
      if line.elementsEqual("\\data\\".utf8) { break }
      if line.first == 0x5C || number > 10_000 { throw wrong(line, "\\data\\") }
    }
    var counts: [Int] = []
    var line = try nextFilled("the numbers of n-grams")
    while line.starts(with: "ngram ".utf8) {
      let text = String(decoding: line.dropFirst(6), as: UTF8.self)
      let fields = text.split(separator: "=").map { $0.trimmingCharacters(in: .whitespaces) }
      guard fields.count == 2, Int(fields[0]) == counts.count + 1, let count = Int(fields[1]),
        (0...1 << 40).contains(count), counts.count < 20
      else { throw wrong(line, "ngram \(counts.count + 1)= and a number") }
      counts.append(count)
      line = try nextFilled("\\1-grams:")
    }
    guard !counts.isEmpty else { throw wrong(line, "ngram 1= and a number") }
    try requireRoom(for: counts)
    do {
      try MemoryLimit.require(
        NgramModel.bytes(counts: counts), for: "the n-grams of \(path)",
        advice: "give a pruned model, or one of a lower order")
    } catch {
      throw ArpaError.memory(error)
    }
    var tables: [NgramTable] = []
    for (index, count) in counts.enumerated() {
      let heading = "\\\(index + 1)-grams:"
      guard line.elementsEqual(heading.utf8) else { throw wrong(line, heading) }
      let table = NgramTable(count: count)
      for _ in 0..<count { try readEntry(of: index + 1, into: table) }
      // Every sentence ends in it: its words would have a figure that no end of a sentence is in, or that
      // of a word which the model has never seen. KenLM refuses such a file as well.
      if index == 0, table.find(NgramModel.key(NgramModel.empty, .end)) == nil {
        throw ArpaError.withoutEnd(path: path)
      }
      tables.append(table)
      line = try nextFilled(index + 1 < counts.count ? "\\\(index + 2)-grams:" : "\\end\\")
    }
    guard line.elementsEqual("\\end\\".utf8) else { throw wrong(line, "\\end\\") }
    return NgramModel(tables: tables)
  }

  /// Refuses numbers of n-grams that a file of this size cannot hold, before memory is asked for them.
  private func requireRoom(for counts: [Int]) throws {
    guard let size = Files.sizeIfRegular(path) else { return }
    // A line has a number, a tab, a word and an end; no n-gram stands there twice, so text shrinks little.
    let most = size / 4 * (DecompressedFile.isCompressed(path) ? 1_000 : 1)
    let all = counts.reduce(0, +)
    guard all <= most else {
      throw ArpaError.line(
        path: path, number: 1 + counts.count, expected: "numbers of n-grams that the file has",
        found: "\(all) in a file of \(size) bytes")
    }
  }

  /// Reads one line of a section.
  private mutating func readEntry(of order: Int, into table: NgramTable) throws {
    guard let line = try next() else {
      throw ArpaError.incomplete(path: path, expected: "\\end\\")
    }
    let expected = "a probability and \(order) word\(order == 1 ? "" : "s")"
    var fields = FieldScanner(line)
    guard let first = fields.next(), let probability = FieldScanner.number(first), probability <= 0
    else { throw wrong(line, expected) }
    var key = NgramModel.empty
    for _ in 0..<order {
      guard let word = fields.next() else { throw wrong(line, expected) }
      key = NgramModel.key(key, NgramModel.Word(arpa: word))
    }
    var backoff: Float = 0
    if let field = fields.next() {
      // Infinity would make nothing of a probability of 0.
      guard let weight = FieldScanner.number(field), weight < .infinity, fields.next() == nil else {
        throw wrong(line, expected)
      }
      backoff = weight
    }
    if table.insert(key, probability: probability, backoff: backoff) { return }
    // lmplz writes <unk>, for words that it never saw, beside a <UNK> that stands in its text. KenLM takes both for
    // one word, with the figures of the later line, and so does this.
    guard order == 1, key == NgramModel.key(NgramModel.empty, .unknown), !hasBothMarks else {
      throw wrong(line, "every n-gram once")
    }
    hasBothMarks = true
    table.replace(key, probability: probability, backoff: backoff)
  }
}
