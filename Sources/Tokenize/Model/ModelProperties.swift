/// What a serialised SentencePiece model says of itself.
///
/// Read from the protocol buffer (`sentencepiece_model.proto`: pieces are field 1, trainer_spec 2,
/// normalizer_spec 3): the library keeps some of it to itself, and takes ten times as long.
struct ModelProperties {
  var pieces: [ModelPiece] = []
  var modelType = 1
  var byteFallback = false
  var whitespaceAsSuffix = false
  var unknownPiece = unknown
  var beginPiece = begin
  var endPiece = end
  var normalizes = false
  var dummyPrefix = true
  var removesExtraWhitespace = true
  var escapesWhitespace = true

  // What the trainer's specification means by an empty or absent name.
  private static let unknown = Array("<unk>".utf8)
  private static let begin = Array("<s>".utf8)
  private static let end = Array("</s>".utf8)

  /// Reads the fields; nothing on bytes that are not a protocol buffer.
  init?(serialized: [UInt8]) {
    let isRead = serialized.withUnsafeBytes { bytes in
      Self.forEachField(of: bytes) { number, value in
        guard case .bytes(let message) = value else { return true }
        switch number {
        case 1:
          pieces.append(ModelPiece())
          return Self.forEachField(of: message) { readPiece($0, $1) }
        case 2: return Self.forEachField(of: message) { readTrainer($0, $1) }
        case 3: return Self.forEachField(of: message) { readNormalizer($0, $1) }
        default: return true
        }
      }
    }
    if !isRead { return nil }
  }

  /// - Returns: Whether the message is well-formed and `body` always returned true.
  private static func forEachField(
    of message: UnsafeRawBufferPointer, _ body: (Int, ProtocolBufferReader.Value) -> Bool
  ) -> Bool {
    var reader = ProtocolBufferReader(message)
    while let (number, value) = reader.next() {
      if !body(number, value) { return false }
    }
    return !reader.isMalformed
  }

  private mutating func readPiece(_ number: Int, _ value: ProtocolBufferReader.Value) -> Bool {
    let last = pieces.count - 1
    switch (number, value) {
    case (1, .bytes(let bytes)): pieces[last].bytes = Array(bytes)
    case (2, .fixed32(let bits)): pieces[last].score = Float(bitPattern: bits)
    case (3, .integer(let kind)):
      // Of 32 bits; a number without a meaning leaves what was there, as in the library.
      if let known = ModelPiece.Kind(rawValue: UInt64(UInt32(truncatingIfNeeded: kind))) {
        pieces[last].kind = known
      }
    default: break
    }
    return true
  }

  private mutating func readTrainer(_ number: Int, _ value: ProtocolBufferReader.Value) -> Bool {
    switch (number, value) {
    case (3, .integer(let value)): modelType = Int(truncatingIfNeeded: value)
    case (24, .integer(let value)): whitespaceAsSuffix = value != 0
    case (35, .integer(let value)): byteFallback = value != 0
    case (45, .bytes(let name)): unknownPiece = name.isEmpty ? Self.unknown : Array(name)
    case (46, .bytes(let name)): beginPiece = name.isEmpty ? Self.begin : Array(name)
    case (47, .bytes(let name)): endPiece = name.isEmpty ? Self.end : Array(name)
    default: break
    }
    return true
  }

  private mutating func readNormalizer(
    _ number: Int, _ value: ProtocolBufferReader.Value
  ) -> Bool {
    switch (number, value) {
    case (2, .bytes(let charsMap)): normalizes = !charsMap.isEmpty
    case (3, .integer(let value)): dummyPrefix = value != 0
    case (4, .integer(let value)): removesExtraWhitespace = value != 0
    case (5, .integer(let value)): escapesWhitespace = value != 0
    default: break
    }
    return true
  }

  /// The control piece that is spelled so, or -1.
  func controlID(_ bytes: [UInt8]) -> Int32 {
    Int32(pieces.firstIndex { $0.kind == .control && $0.bytes == bytes } ?? -1)
  }

  /// The piece for what is unknown, or -1; if no piece has its name, the only one of the kind.
  var unknownID: Int32 {
    let named = pieces.firstIndex { $0.bytes == unknownPiece }
    let found = named ?? pieces.firstIndex { $0.kind == .unknown }
    return found.map { pieces[$0].kind == .unknown ? Int32($0) : -1 } ?? -1
  }

  /// What keeps the model from spelling every text exactly, or `nil`.
  var lossReason: String? {
    if normalizes { return "it normalises text" }
    if removesExtraWhitespace { return "it removes extra white space" }
    if !byteFallback && modelType != WordLevelModel.typeNumber {
      return "it has no byte pieces for unknown characters"
    }
    return nil
  }

  /// What the model does with text that the encoders here do not, or `nil`.
  var unsupportedReason: String? {
    if !dummyPrefix {
      return
        "it puts no space before a line (add_dummy_prefix=false), and words are looked up with "
        + "the space before them"
    }
    if !escapesWhitespace {
      return
        "it does not mark white space (escape_whitespaces=false), and words are looked up with "
        + "the mark before them"
    }
    if whitespaceAsSuffix {
      return "it puts the space behind a word (treat_whitespace_as_suffix=true), and words are "
        + "looked up with the space before them"
    }
    if !(1...WordLevelModel.typeNumber).contains(modelType) {
      return "it is neither a unigram, a BPE nor a word model"
    }
    return nil
  }
}
