import Foundation

/// Keys of JSON that earlier versions wrote under other names; files with either are read.
///
/// What the field calls a token was called a piece. Nothing but the names differs, so a file is taken
/// as it stands, and its checksum stays that of its bytes.
enum EarlierKeys {
  private static let names = [
    "batchPieces": "batchTokens", "isOnePiece": "isOneToken",
    "microBatchPieces": "microBatchTokens", "natsPerPiece": "natsPerToken", "pieces": "tokens",
    "piecesCounted": "tokensCounted", "piecesPerSecond": "tokensPerSecond",
  ]

  private struct Key: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }

    init(_ name: String) { stringValue = name }
    init?(stringValue: String) { self.init(stringValue) }
    init?(intValue: Int) { nil }
  }

  /// A decoder that takes earlier keys for those of today; keys of dictionaries stay as they are.
  static func decoder() -> JSONDecoder {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .custom { path in
      let key = path[path.count - 1]
      return names[key.stringValue].map(Key.init) ?? key
    }
    return decoder
  }
}
