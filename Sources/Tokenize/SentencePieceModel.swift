import CSentencePiece
import Foundation
package import LMData
import Storage

/// The two kinds of model that this project trains.
package enum ModelType: String, CaseIterable, Sendable {
  case unigram
  case bpe
}

/// A SentencePiece model that spells every line of UTF-8 exactly.
///
/// Models that cannot (those that normalise, drop white space or lack byte pieces) are refused.
/// Unchecked because of the pointer: the library never changes a loaded model, and its encoder
/// and decoder are `const`.
package final class SentencePieceModel: @unchecked Sendable {
  /// The model as it is stored.
  package let serialized: [UInt8]
  package let modelType: ModelType
  package let vocabularySize: Int
  package let special: SpecialIDs

  /// Whether words may be encoded one by one: no piece holds a `▁` but in front, and none but
  /// `▁<UNK>` is a user-defined symbol.
  package let wordsAreIndependent: Bool

  /// Whether some piece is kept whole wherever it occurs.
  let hasUserSymbols: Bool

  /// The piece of the word `<UNK>`, if the model keeps it whole.
  package let unknownWordID: Int32?

  /// Piece of the byte with this number.
  package let byteIDs: [Int32]
  private let handle: OpaquePointer

  /// Loads a model file.
  package convenience init(path: String) throws(TokenizerError) {
    let bytes: [UInt8]
    do { bytes = try Files.contents(of: path) } catch { throw .storage(error) }
    try self.init(serialized: bytes, path: path)
  }

  /// Loads a model from memory.
  ///
  /// - Parameter path: Named in errors.
  package init(serialized: [UInt8], path: String = "the model") throws(TokenizerError) {
    guard !serialized.isEmpty, let properties = ModelProperties(serialized: serialized) else {
      throw .unreadableModel(path: path, reason: "not a protocol buffer")
    }
    var loaded: OpaquePointer?
    let failure = serialized.withUnsafeBytes { csp_load($0.baseAddress, $0.count, &loaded) }
    if let reason = takeMessage(failure) { throw .unreadableModel(path: path, reason: reason) }
    guard let loaded else { throw .unreadableModel(path: path, reason: "no model") }
    handle = loaded
    self.serialized = serialized
    modelType = properties.modelType == 2 ? .bpe : .unigram
    vocabularySize = Int(csp_piece_count(loaded))
    special = SpecialIDs(
      bos: csp_begin_id(loaded), eos: csp_end_id(loaded), unk: csp_unknown_id(loaded))
    let survey = Self.survey(loaded)
    byteIDs = survey.byteIDs
    let symbols = properties.userSymbols
    hasUserSymbols = !symbols.isEmpty
    wordsAreIndependent =
      survey.wordsAreIndependent && symbols.allSatisfy { $0 == WordMarker.unknownWord }
    unknownWordID = symbols.isEmpty ? nil : survey.unknownWordID
    if let reason = properties.lossReason { throw .lossyModel(path: path, reason: reason) }
    if byteIDs.contains(-1) {
      throw .lossyModel(path: path, reason: "it lacks pieces for some bytes")
    }
    if special.bos < 0 || special.eos < 0 {
      throw .lossyModel(path: path, reason: "it has no <s> or no </s>")
    }
  }

  deinit { csp_release(handle) }

  /// Piece by id as the library spells it, with `▁` for a space.
  package func piece(_ id: Int32) -> [UInt8] { Self.piece(handle, id) }

  /// Log probability (unigram) or merge rank (BPE) of a piece.
  package func score(_ id: Int32) -> Float {
    precondition((0..<Int32(vocabularySize)).contains(id))
    return csp_score(handle, id)
  }

  /// Whether a piece is weighed against others: neither a marker nor a byte nor `▁<UNK>`.
  package func isText(_ id: Int32) -> Bool {
    precondition((0..<Int32(vocabularySize)).contains(id))
    return id != unknownWordID && !csp_is_control(handle, id) && !csp_is_unknown(handle, id)
      && !csp_is_byte(handle, id)
      && !csp_is_unused(handle, id)
  }

  /// The bytes of every id.
  package func pieceTable() -> PieceTable {
    PieceTable(
      (0..<Int32(vocabularySize)).map { id in
        if csp_is_control(handle, id) { return [] }
        if csp_is_unknown(handle, id) { return Array(" \u{2047} ".utf8) }
        if csp_is_byte(handle, id) { return [UInt8(byteIDs.firstIndex(of: id) ?? 0)] }
        return Self.replacing(WordMarker.bytes, by: [0x20], in: piece(id))
      })
  }

  /// The ids of a line, exactly as libsentencepiece gives them; `</s>` is not added.
  ///
  /// A `▁` in the text is the one exception: the library would decode it as a space, so it is
  /// spelled by its bytes.
  package func encode(_ line: UnsafeBufferPointer<UInt8>) throws(TokenizerError) -> [Int32] {
    guard line.count >= 3, Self.contains(WordMarker.bytes, in: line) else {
      return try encodeWithLibrary(line)
    }
    guard let stand = standIn(for: line) else {
      throw .encoding(reason: "a line with ▁ uses every private character")
    }
    let text = Self.replacing(WordMarker.bytes, by: stand, in: Array(line))
    return Self.replacing(
      stand.map { byteIDs[Int($0)] }, by: WordMarker.bytes.map { byteIDs[Int($0)] },
      in: try text.span.withUnsafeBufferPointer { (text) throws(TokenizerError) in
        try encodeWithLibrary(text)
      })
  }

  /// The ids of a line, exactly as libsentencepiece gives them; `</s>` is not added.
  package func encode(_ line: [UInt8]) throws(TokenizerError) -> [Int32] {
    try line.span.withUnsafeBufferPointer { (line) throws(TokenizerError) in try encode(line) }
  }

  /// What libsentencepiece says, with no care for `▁`.
  package func encodeWithLibrary(
    _ line: UnsafeBufferPointer<UInt8>
  ) throws(TokenizerError) -> [Int32] {
    var ids = csp_ids()
    defer { free(ids.items) }
    let failure = line.withMemoryRebound(to: CChar.self) {
      csp_encode(handle, $0.baseAddress, $0.count, &ids)
    }
    if let reason = takeMessage(failure) { throw .encoding(reason: reason) }
    return Array(UnsafeBufferPointer(start: ids.items, count: ids.count))
  }

  /// The text of ids by libsentencepiece's own decoder.
  package func decodeWithLibrary(_ ids: [Int32]) throws(TokenizerError) -> [UInt8] {
    var text = csp_bytes()
    defer { free(text.items) }
    let failure = ids.withUnsafeBufferPointer {
      csp_decode(handle, $0.baseAddress, $0.count, &text)
    }
    if let reason = takeMessage(failure) { throw .encoding(reason: reason) }
    return UnsafeBufferPointer(start: text.items, count: text.count).map { UInt8(bitPattern: $0) }
  }

  /// A character that neither the line nor any piece holds, so that it is spelled by bytes.
  private func standIn(for line: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
    let firstOfPlane: UInt32 = 0x10_0000
    let lastOfPlane: UInt32 = 0x10_FFFD
    var code = lastOfPlane
    while code >= firstOfPlane {
      if let scalar = Unicode.Scalar(code) {
        let bytes = Array(String(Character(scalar)).utf8)
        if !Self.contains(bytes, in: line) && !serializedHolds(bytes) { return bytes }
      }
      code -= 1
    }
    return nil
  }

  private func serializedHolds(_ bytes: [UInt8]) -> Bool {
    serialized.withUnsafeBufferPointer { Self.contains(bytes, in: $0) }
  }

  private static func contains(_ part: [UInt8], in text: UnsafeBufferPointer<UInt8>) -> Bool {
    var rest = UnsafeRawBufferPointer(text)
    while rest.count >= part.count, let base = rest.baseAddress,
      let found = memchr(base, Int32(part[0]), rest.count - part.count + 1)
    {
      if memcmp(found, part, part.count) == 0 { return true }
      rest = UnsafeRawBufferPointer(rebasing: rest[(UnsafeRawPointer(found) - base + 1)...])
    }
    return false
  }

  /// Replaces every run of `part`, from left to right.
  private static func replacing<Element: Equatable>(
    _ part: [Element], by other: [Element], in sequence: [Element]
  ) -> [Element] {
    var result: [Element] = []
    var index = 0
    while index < sequence.count {
      let end = index + part.count
      if end <= sequence.count && sequence[index] == part[0]
        && sequence[index..<end].elementsEqual(part)
      {
        result += other
        index = end
      } else {
        result.append(sequence[index])
        index += 1
      }
    }
    return result
  }

  private static func piece(_ handle: OpaquePointer, _ id: Int32) -> [UInt8] {
    var count = 0
    let bytes = csp_piece(handle, id, &count)
    return UnsafeBufferPointer(start: bytes, count: count).map { UInt8(bitPattern: $0) }
  }

  private static func survey(
    _ handle: OpaquePointer
  ) -> (byteIDs: [Int32], unknownWordID: Int32?, wordsAreIndependent: Bool) {
    var unknownWordID: Int32?
    var byteIDs = [Int32](repeating: -1, count: 256)
    var wordsAreIndependent = true
    for id in 0..<csp_piece_count(handle) {
      let bytes = piece(handle, id)
      if csp_is_byte(handle, id) {
        // Spelled "<0xE2>".
        let digits = String(decoding: bytes.dropFirst(3).dropLast(), as: UTF8.self)
        if let value = UInt8(digits, radix: 16) { byteIDs[Int(value)] = id }
      } else if !csp_is_control(handle, id) && !csp_is_unknown(handle, id) {
        if bytes == WordMarker.unknownWord { unknownWordID = id }
        let rest = Array(bytes.dropFirst(1))
        if rest.withUnsafeBufferPointer({ contains(WordMarker.bytes, in: $0) }) {
          wordsAreIndependent = false
        }
      }
    }
    return (byteIDs, unknownWordID, wordsAreIndependent)
  }
}

/// The character `▁` (U+2581) that stands for a space inside pieces.
enum WordMarker {
  static let bytes: [UInt8] = [0xE2, 0x96, 0x81]

  /// The word that stands for all unknown ones, as a piece.
  static let unknownWord = bytes + Words.unknown
}

/// Copies and frees a message of the shim.
func takeMessage(_ message: UnsafeMutablePointer<CChar>?) -> String? {
  guard let message else { return nil }
  defer { free(message) }
  return String(cString: message)
}
