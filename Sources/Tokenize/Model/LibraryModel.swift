import CSentencePiece
import LMData

/// A model as libsentencepiece holds it.
///
/// Unchecked because of the pointer: the library never changes a loaded model, and its encoder and
/// decoder are `const`.
final class LibraryModel: @unchecked Sendable {
  let pointer: OpaquePointer

  /// - Throws: If the library refuses the model, or finds other pieces in it than were read here.
  init(
    _ serialized: [UInt8], pieces: [ModelPiece], special: SpecialIDs, path: String
  ) throws(TokenizerError) {
    var loaded: OpaquePointer?
    let failure = serialized.withUnsafeBytes { csp_load($0.baseAddress, $0.count, &loaded) }
    if let reason = LibraryMessage.copyAndFree(failure) {
      throw .unreadableModel(path: path, reason: LibraryMessage.plain(reason))
    }
    guard let loaded else { throw .unreadableModel(path: path, reason: "no model") }
    pointer = loaded
    let agree =
      csp_piece_count(loaded) == pieces.count && csp_begin_id(loaded) == special.bos
      && csp_end_id(loaded) == special.eos && csp_unknown_id(loaded) == special.unk
      && pieces.indices.allSatisfy { Self.isSame(loaded, Int32($0), pieces[$0]) }
    if !agree {
      throw .unreadableModel(path: path, reason: "libsentencepiece finds other pieces in it")
    }
  }

  deinit { csp_release(pointer) }

  private static func isSame(_ model: OpaquePointer, _ id: Int32, _ piece: ModelPiece) -> Bool {
    var count = 0
    let bytes = csp_piece(model, id, &count)
    return UnsafeBufferPointer(start: bytes, count: count).elementsEqual(piece.bytes) {
      UInt8(bitPattern: $0) == $1
    } && csp_score(model, id).bitPattern == piece.score.bitPattern
      && csp_is_control(model, id) == (piece.kind == .control)
      && csp_is_unknown(model, id) == (piece.kind == .unknown)
      && csp_is_byte(model, id) == (piece.kind == .byte)
      && csp_is_unused(model, id) == (piece.kind == .unused)
  }
}
