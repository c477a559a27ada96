/// Messages of SentencePiece's models (`sentencepiece_model.proto`) that all files written here have.
extension ProtocolBufferWriter {
  /// A piece, with the next id.
  mutating func append(_ piece: ModelPiece) {
    var message = ProtocolBufferWriter()
    message.append(1, piece.bytes)
    message.append(2, piece.score)
    message.append(3, Int(piece.kind.rawValue))
    append(1, message.bytes)
  }

  /// Text is not normalised; a word begins with ▁, the first of a text too, and every space counts.
  mutating func appendIdentityNormalizer() {
    var normalizer = ProtocolBufferWriter()
    normalizer.append(1, Array("identity".utf8))
    normalizer.append(3, 1)
    normalizer.append(4, 0)
    normalizer.append(5, 1)
    append(3, normalizer.bytes)
  }
}
