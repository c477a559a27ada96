/// What a serialised SentencePiece model says of itself beyond its pieces.
///
/// The library keeps these fields to itself, so they are read from the protocol buffer
/// (`sentencepiece_model.proto`: pieces are field 1, trainer_spec 2, normalizer_spec 3).
struct ModelProperties: Equatable {
  var modelType = 1
  var byteFallback = false
  var whitespaceAsSuffix = false
  var normalizes = false
  var dummyPrefix = true
  var removesExtraWhitespace = true
  var escapesWhitespace = true

  /// The pieces that are always kept whole, wherever they occur.
  var userSymbols: [[UInt8]] = []

  /// Reads the fields; nothing on bytes that are not a protocol buffer.
  init?(serialized: [UInt8]) {
    guard let fields = ProtocolBufferField.all(in: serialized[...]) else { return nil }
    for field in fields {
      switch (field.number, field.value) {
      case (1, .bytes(let piece)):
        guard let inner = ProtocolBufferField.all(in: piece) else { return nil }
        if inner.contains(where: \.isUserSymbolType) {
          userSymbols += inner.compactMap(\.piece)
        }
      case (2, .bytes(let trainer)):
        guard let inner = ProtocolBufferField.all(in: trainer) else { return nil }
        for field in inner { readTrainer(field) }
      case (3, .bytes(let normalizer)):
        guard let inner = ProtocolBufferField.all(in: normalizer) else { return nil }
        for field in inner { readNormalizer(field) }
      default: break
      }
    }
  }

  private mutating func readTrainer(_ field: ProtocolBufferField) {
    switch (field.number, field.value) {
    case (3, .integer(let value)): modelType = Int(truncatingIfNeeded: value)
    case (24, .integer(let value)): whitespaceAsSuffix = value != 0
    case (35, .integer(let value)): byteFallback = value != 0
    default: break
    }
  }

  private mutating func readNormalizer(_ field: ProtocolBufferField) {
    switch (field.number, field.value) {
    case (2, .bytes(let charsMap)): normalizes = !charsMap.isEmpty
    case (3, .integer(let value)): dummyPrefix = value != 0
    case (4, .integer(let value)): removesExtraWhitespace = value != 0
    case (5, .integer(let value)): escapesWhitespace = value != 0
    default: break
    }
  }

  /// What keeps the model from spelling every text exactly, or `nil`.
  var lossReason: String? {
    if normalizes { return "it normalises text" }
    if removesExtraWhitespace { return "it removes extra white space" }
    if !escapesWhitespace { return "it does not mark white space" }
    if !dummyPrefix { return "it puts no space before a line" }
    if whitespaceAsSuffix { return "it treats white space as a suffix" }
    if !byteFallback { return "it has no byte pieces for unknown characters" }
    if modelType != 1 && modelType != 2 { return "it is neither a unigram nor a BPE model" }
    return nil
  }
}

/// One field of a protocol buffer message.
private struct ProtocolBufferField {
  enum Value {
    case integer(UInt64)
    case bytes(ArraySlice<UInt8>)
    case fixed
  }

  var number: Int
  var value: Value

  /// In a piece, field 3 is its type, and 4 stands for a user-defined symbol.
  var isUserSymbolType: Bool {
    if number == 3, case .integer(4) = value { return true }
    return false
  }

  /// In a piece, field 1 is its text.
  var piece: [UInt8]? {
    if number == 1, case .bytes(let piece) = value { return Array(piece) }
    return nil
  }

  /// The fields of a message in order, or nothing if it is malformed.
  static func all(in message: ArraySlice<UInt8>) -> [ProtocolBufferField]? {
    var rest = message
    var fields: [ProtocolBufferField] = []
    while !rest.isEmpty {
      guard let key = integer(&rest), key >> 3 <= 1 << 29 else { return nil }
      let value: Value
      switch key & 7 {
      case 0:
        guard let number = integer(&rest) else { return nil }
        value = .integer(number)
      case 2:
        guard let length = integer(&rest), length <= UInt64(rest.count) else { return nil }
        value = .bytes(rest.prefix(Int(length)))
        rest = rest.dropFirst(Int(length))
      case 1, 5:
        let size = key & 7 == 1 ? 8 : 4
        guard rest.count >= size else { return nil }
        value = .fixed
        rest = rest.dropFirst(size)
      default: return nil
      }
      fields.append(ProtocolBufferField(number: Int(key >> 3), value: value))
    }
    return fields
  }

  private static func integer(_ rest: inout ArraySlice<UInt8>) -> UInt64? {
    var value: UInt64 = 0
    for shift in stride(from: 0, to: 64, by: 7) {
      guard let byte = rest.popFirst() else { return nil }
      value |= UInt64(byte & 0x7F) << UInt64(shift)
      if byte < 0x80 { return value }
    }
    return nil
  }
}
