import LMData

/// The character `▁` (U+2581) that stands for a space inside pieces.
enum WordMarker {
  static let bytes: [UInt8] = [0xE2, 0x96, 0x81]

  /// The word that stands for all unknown ones, as a piece.
  static let unknownWord = bytes + Words.unknown
}
