/// A piece of a SentencePiece model.
struct ModelPiece {
  /// Numbers of `sentencepiece_model.proto`.
  enum Kind: UInt64 {
    case text = 1
    case unknown = 2
    case control = 3
    case userSymbol = 4
    case unused = 5
    case byte = 6
  }

  /// With `▁` for a space.
  var bytes: [UInt8] = []
  /// Log probability (unigram) or merge rank (BPE).
  var score: Float = 0
  var kind = Kind.text
}
