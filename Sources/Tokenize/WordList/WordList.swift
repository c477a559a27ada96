import Foundation
import LMData
import Storage

/// The words that a text is allowed to have; every other word is `<UNK>`.
///
/// One word a line, on demand with a count behind it. Sentence markers and `<UNK>` itself, which
/// the lists of the literature hold, are not words.
///
/// Unchecked because of the pointer: the table is filled once and then only read.
package final class WordList: @unchecked Sendable {
  package let path: String

  /// The file as it is, or was before it was compressed.
  package let contents: [UInt8]

  /// Names the list in reports: two figures are of one rule only if these are equal.
  package let sha256: String

  /// Different words, markers not among them.
  package private(set) var count = 0

  private let slots: UnsafeMutablePointer<Slot>
  private let mask: Int

  /// A word of the file; free where its length is zero.
  private struct Slot {
    var hash: UInt64 = 0
    var start = 0
    var length = 0
  }

  /// Reads a list, written by gzip or zstd or plain: the list is the same, and so is its checksum.
  package convenience init(path: String) throws(TokenizerError) {
    let file = try DecompressedFile(path: path)
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 16)
    defer { memory.deallocate() }
    var contents: [UInt8] = []
    while true {
      let count = try file.read(into: memory)
      if count == 0 { break }
      contents.append(contentsOf: memory[..<count])
    }
    try self.init(contents: contents, path: PipeSpool.name(of: path))
  }

  /// - Parameter path: Named in errors.
  package init(contents: [UInt8], path: String) throws(TokenizerError) {
    self.path = path
    self.contents = contents
    sha256 = SHA256.hexDigest(of: contents)
    if let encoding = ByteOrderMark.otherEncoding(contents.prefix(ByteOrderMark.longest)) {
      throw .otherEncoding(path: path, found: encoding)
    }
    let lines = contents.count { $0 == 0x0A || $0 == 0x0D } + 1
    var capacity = 16
    while capacity < 2 * lines { capacity *= 2 }
    mask = capacity - 1
    slots = .allocate(capacity: capacity)
    slots.initialize(repeating: Slot(), count: capacity)
    // The mark is no part of the first word.
    var start = contents.starts(with: ByteOrderMark.utf8) ? ByteOrderMark.utf8.count : 0
    var number = 0
    while start < contents.count {
      number += 1
      let end = contents[start...].firstIndex { $0 == 0x0A || $0 == 0x0D } ?? contents.count
      try add(start..<end, line: number)
      start = end + 1
      // Lines of Windows end in two bytes.
      if end < contents.count, contents[end] == 0x0D, start < contents.count,
        contents[start] == 0x0A
      {
        start += 1
      }
    }
    if count == 0 { throw .vocabulary(path: path, line: nil, problem: "there is no word in it") }
  }

  deinit { slots.deallocate() }

  /// Whether a word is in the list.
  package func contains(_ word: UnsafeBufferPointer<UInt8>) -> Bool { place(of: word) != nil }

  /// Places of the table, more than there are words.
  var places: Int { mask + 1 }

  /// Where a word is in the table; nil if it is not in the list.
  func place(of word: UnsafeBufferPointer<UInt8>) -> Int? {
    guard let base = word.baseAddress else { return nil }
    return contents.withUnsafeBufferPointer {
      let place = place(of: word, at: base, in: $0)
      return slots[place].length > 0 ? place : nil
    }
  }

  /// Every word and its place, in the order of the table.
  func entries() -> [(word: [UInt8], place: Int)] {
    (0..<places).compactMap { place in
      let slot = slots[place]
      guard slot.length > 0 else { return nil }
      return (Array(contents[slot.start..<slot.start + slot.length]), place)
    }
  }

  /// Whether a word is in the list.
  package func contains(_ word: [UInt8]) -> Bool { word.withUnsafeBufferPointer { contains($0) } }

  /// Markers of sentences and of unknown words, in the spellings of the literature.
  static func isMarker(_ word: some Sequence<UInt8>) -> Bool {
    ["<S>", "</S>", "<UNK>", "<s>", "</s>", "<unk>"].contains { word.elementsEqual($0.utf8) }
  }

  private func add(_ line: Range<Int>, line number: Int) throws(TokenizerError) {
    let fields = contents[line].split(whereSeparator: Words.isSpace)
    guard let word = fields.first else { return }
    let isNumber = fields.dropFirst().allSatisfy { field in
      field.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }
    guard fields.count <= 2, isNumber else {
      throw .vocabulary(
        path: path, line: number, problem: "expected one word, or a word and its count")
    }
    let isText = contents[word.startIndex..<word.endIndex].withUnsafeBufferPointer(isValidUTF8)
    guard isText else { throw .invalidUTF8(path: path, line: number) }
    if Self.isMarker(word) { return }
    contents.withUnsafeBufferPointer { contents in
      let word = UnsafeBufferPointer(rebasing: contents[word.startIndex..<word.endIndex])
      guard let base = word.baseAddress, let file = contents.baseAddress else { return }
      let place = place(of: word, at: base, in: contents)
      if slots[place].length > 0 { return }
      slots[place] = Slot(
        hash: WordHash.hash(base, word.count), start: base - file, length: word.count)
      count += 1
    }
  }

  /// Where a word is, or would be.
  private func place(
    of word: UnsafeBufferPointer<UInt8>, at base: UnsafePointer<UInt8>,
    in contents: UnsafeBufferPointer<UInt8>
  ) -> Int {
    let hash = WordHash.hash(base, word.count)
    var place = Int(truncatingIfNeeded: hash) & mask
    while slots[place].length > 0 {
      let slot = slots[place]
      if slot.hash == hash, slot.length == word.count, let file = contents.baseAddress,
        memcmp(file + slot.start, base, word.count) == 0
      {
        return place
      }
      place = (place + 1) & mask
    }
    return place
  }
}
