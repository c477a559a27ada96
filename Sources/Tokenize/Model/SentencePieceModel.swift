import CSentencePiece
import Foundation
package import LMData
import Storage

/// What the tokens of a model are.
package enum ModelType: String, CaseIterable, Sendable {
  case unigram
  case bpe
  /// The words of a list; see ``WordLevelModel``.
  case word

  /// The kinds that are trained on text.
  package static let allCases = [unigram, bpe]
}

/// A SentencePiece model that spells every line of UTF-8 exactly, or one of whole words.
///
/// Other models that cannot (those that normalise, drop white space or lack byte pieces) are refused.
package final class SentencePieceModel: Sendable {
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

  /// Piece of the byte with this number; -1 where the tokens are whole words.
  package let byteIDs: [Int32]
  private let pieces: [ModelPiece]
  private let path: String
  private let library = Once<Result<LibraryModel, TokenizerError>>()

  /// What encoders of words share.
  let unigramPieces = Once<UnigramPieces>()
  let mergePieces = Once<MergePieces?>()
  private let wordNumbers = Once<WordNumbers>()

  /// The ids of words, where the tokens are whole words.
  var wholeWords: WordNumbers? { modelType == .word ? wordNumbers { WordNumbers(self) } : nil }

  /// Loads a model file.
  ///
  /// - Parameter loadsLibrary: False if ``loadLibrary()`` is called soon, by another thread.
  package convenience init(path: String, loadsLibrary: Bool = true) throws(TokenizerError) {
    let bytes: [UInt8]
    do { bytes = try Files.contents(of: path) } catch { throw .storage(error) }
    try self.init(serialized: bytes, path: path, loadsLibrary: loadsLibrary)
  }

  /// Loads a model from memory.
  ///
  /// - Parameters:
  ///   - serialized: The contents of a model file.
  ///   - path: Named in errors.
  ///   - loadsLibrary: False if ``loadLibrary()`` is called soon, by another thread.
  package init(
    serialized: [UInt8], path: String = "the model", loadsLibrary: Bool = true
  ) throws(TokenizerError) {
    guard !serialized.isEmpty, let properties = ModelProperties(serialized: serialized) else {
      throw .unreadableModel(path: path, reason: "not a protocol buffer")
    }
    guard properties.unknownID >= 0 else {
      throw .unreadableModel(path: path, reason: "it has no piece for what is unknown")
    }
    self.serialized = serialized
    self.path = path
    pieces = properties.pieces
    modelType =
      switch properties.modelType {
      case 2: .bpe
      case WordLevelModel.typeNumber: .word
      default: .unigram
      }
    vocabularySize = pieces.count
    special = SpecialIDs(
      bos: properties.controlID(properties.beginPiece),
      eos: properties.controlID(properties.endPiece), unk: properties.unknownID)
    let symbols = pieces.filter { $0.kind == .userSymbol }
    hasUserSymbols = !symbols.isEmpty
    wordsAreIndependent =
      symbols.allSatisfy { $0.bytes == WordMarker.unknownWord }
      && !pieces.contains { $0.isSpelled && $0.bytes.holdsMarkerBehindFront }
    unknownWordID =
      symbols.isEmpty
      ? modelType == .word ? properties.unknownID : nil
      : pieces.lastIndex { $0.isSpelled && $0.bytes == WordMarker.unknownWord }.map(Int32.init)
    byteIDs = Self.byteIDs(pieces)
    // Sums of a line's scores must stay numbers; what trainers write is below the vocabulary's size.
    guard pieces.allSatisfy({ $0.score.magnitude <= 1e9 }) else {
      throw .unreadableModel(path: path, reason: "a piece has a score that is no number below 1e9")
    }
    if let reason = properties.lossReason { throw .lossyModel(path: path, reason: reason) }
    if let reason = properties.unsupportedReason {
      throw .unsupportedModel(path: path, reason: reason)
    }
    if modelType == .word {
      let words = pieces.filter { $0.kind == .text }
      guard words.count + WordLevelModel.markers == pieces.count,
        Set(words.map(\.bytes)).count == words.count,
        words.allSatisfy({
          $0.bytes.count > WordMarker.bytes.count && $0.bytes.starts(with: WordMarker.bytes)
            && !$0.bytes.contains(where: Words.isSpace)
        })
      else {
        throw .unsupportedModel(
          path: path,
          reason: "a piece of a word model is neither <unk>, <s>, </s> nor a word of its own")
      }
    } else if byteIDs.contains(-1) {
      throw .lossyModel(path: path, reason: "it lacks pieces for some bytes")
    }
    if special.bos < 0 || special.eos < 0 {
      throw .unsupportedModel(path: path, reason: "it has no <s> or no </s>")
    }
    if loadsLibrary { try loadLibrary() }
  }

  /// Has libsentencepiece load the model, unless it has, which takes most of the time that a model
  /// takes; whoever needs it meanwhile waits.
  ///
  /// - Throws: If the library refuses the model, or finds other pieces in it.
  package func loadLibrary() throws(TokenizerError) {
    if modelType != .word { _ = try handle() }
  }

  private func handle() throws(TokenizerError) -> OpaquePointer {
    try library {
      Result { () throws(TokenizerError) in
        try LibraryModel(serialized, pieces: pieces, special: special, path: path)
      }
    }.get().pointer
  }

  /// Piece by id as the library spells it, with `▁` for a space.
  package func piece(_ id: Int32) -> [UInt8] { pieces[Int(id)].bytes }

  /// Log probability (unigram) or merge rank (BPE) of a piece.
  package func score(_ id: Int32) -> Float { pieces[Int(id)].score }

  /// What a piece is for, as `sentencepiece_model.proto` numbers it.
  package func typeNumber(_ id: Int32) -> Int32 { Int32(kind(id).rawValue) }

  /// A user-defined symbol as it stands in text, with spaces.
  package func textOfSymbol(_ id: Int32) -> [UInt8] {
    Self.replacing(WordMarker.bytes, by: [0x20], in: piece(id))
  }

  /// What a piece is for.
  func kind(_ id: Int32) -> ModelPiece.Kind { pieces[Int(id)].kind }

  /// The pieces of some kinds, in their order.
  func ids(_ isWanted: (ModelPiece.Kind) -> Bool) -> [Int32] {
    pieces.indices.filter { isWanted(pieces[$0].kind) }.map(Int32.init)
  }

  /// Whether a piece is weighed against others: neither a marker nor a byte nor `▁<UNK>`.
  package func isText(_ id: Int32) -> Bool {
    let kind = pieces[Int(id)].kind
    return id != unknownWordID && (kind == .text || kind == .userSymbol)
  }

  /// Whether some piece is never an answer.
  var hasUnusedPieces: Bool { pieces.contains { $0.kind == .unused } }

  /// The bytes of every id.
  package func tokenTable() -> TokenTable {
    TokenTable(
      pieces.enumerated().map { id, piece in
        switch piece.kind {
        case .control: []
        case .unknown:
          modelType == .word ? [0x20] + Words.unknown : Array(" \u{2047} ".utf8)
        case .byte: [UInt8(byteIDs.firstIndex(of: Int32(id)) ?? 0)]
        case .text where modelType == .word: [0x20] + piece.bytes.dropFirst(WordMarker.bytes.count)
        case .text, .userSymbol, .unused:
          Self.replacing(WordMarker.bytes, by: [0x20], in: piece.bytes)
        }
      })
  }

  /// The ids of a line, exactly as libsentencepiece gives them; `</s>` is not added.
  ///
  /// A `▁` in the text is the one exception: the library would decode it as a space, so it is
  /// spelled by its bytes.
  package func encode(_ line: UnsafeBufferPointer<UInt8>) throws(TokenizerError) -> [Int32] {
    if let wholeWords {
      return line.split(whereSeparator: Words.isSpace).map {
        wholeWords.id(of: UnsafeBufferPointer(rebasing: $0))
      }
    }
    guard line.count >= 3, holds(WordMarker.bytes, in: line) else {
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
    let handle = try handle()
    var ids = csp_ids()
    defer { free(ids.items) }
    let failure = line.withMemoryRebound(to: CChar.self) {
      csp_encode(handle, $0.baseAddress, $0.count, &ids)
    }
    if let reason = LibraryMessage.copyAndFree(failure) {
      throw .encoding(reason: LibraryMessage.plain(reason))
    }
    return Array(UnsafeBufferPointer(start: ids.items, count: ids.count))
  }

  /// The text of ids by libsentencepiece's own decoder.
  package func decodeWithLibrary(_ ids: [Int32]) throws(TokenizerError) -> [UInt8] {
    let handle = try handle()
    var text = csp_bytes()
    defer { free(text.items) }
    let failure = ids.withUnsafeBufferPointer {
      csp_decode(handle, $0.baseAddress, $0.count, &text)
    }
    if let reason = LibraryMessage.copyAndFree(failure) {
      throw .encoding(reason: LibraryMessage.plain(reason))
    }
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
        if !holds(bytes, in: line) && !serializedHolds(bytes) { return bytes }
      }
      code -= 1
    }
    return nil
  }

  private func serializedHolds(_ bytes: [UInt8]) -> Bool {
    serialized.withUnsafeBufferPointer { holds(bytes, in: $0) }
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

  /// The piece of every byte, or -1 where there is none; they are spelled "<0xE2>".
  private static func byteIDs(_ pieces: [ModelPiece]) -> [Int32] {
    var byteIDs = [Int32](repeating: -1, count: 256)
    for (id, piece) in pieces.enumerated() where piece.kind == .byte {
      let digits = String(decoding: piece.bytes.dropFirst(3).dropLast(), as: UTF8.self)
      if let value = UInt8(digits, radix: 16) { byteIDs[Int(value)] = Int32(id) }
    }
    return byteIDs
  }
}

extension ModelPiece {
  /// Whether it stands for its own bytes.
  fileprivate var isSpelled: Bool { kind == .text || kind == .userSymbol || kind == .unused }
}

extension [UInt8] {
  fileprivate var holdsMarkerBehindFront: Bool {
    guard count > WordMarker.bytes.count else { return false }
    return dropFirst(1).withUnsafeBufferPointer { holds(WordMarker.bytes, in: $0) }
  }
}

private func holds(_ part: [UInt8], in text: UnsafeBufferPointer<UInt8>) -> Bool {
  var rest = UnsafeRawBufferPointer(text)
  while rest.count >= part.count, let base = rest.baseAddress,
    let found = memchr(base, Int32(part[0]), rest.count - part.count + 1)
  {
    if memcmp(found, part, part.count) == 0 { return true }
    rest = UnsafeRawBufferPointer(rebasing: rest[(UnsafeRawPointer(found) - base + 1)...])
  }
  return false
}
