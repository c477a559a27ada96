import Storage

/// The stages of encoding a text that lies in memory, one by one, for measuring them.
///
/// All work on one thread.
package final class EncoderStages {
  /// What one run has seen.
  package struct Counts: Equatable, Sendable {
    package var lines = 0
    package var words = 0
    package var ids = 0
  }

  package let bytes: Int
  private let model: SentencePieceModel
  private let path: String
  private let blocks: [TextBlock]
  private let result = EncodedLines()
  private var warm: LineEncoder

  /// Reads a text file.
  ///
  /// - Parameter limit: Bytes from which on no more is read.
  package init(path: String, model: SentencePieceModel, limit: Int) throws(TokenizerError) {
    self.model = model
    self.path = path
    var blocks: [TextBlock] = []
    var bytes = 0
    let reader = try BlockReader(path: path)
    while bytes < limit {
      let block = TextBlock()
      if try !reader.next(into: block) { break }
      blocks.append(block)
      bytes += block.count
    }
    self.blocks = blocks
    self.bytes = bytes
    warm = LineEncoder(model: model)
  }

  /// Writes the text that has been read.
  package func write(to path: String) throws(TokenizerError) {
    do {
      let file = try FileWriter(path: path)
      for block in blocks { try file.append(UnsafeRawBufferPointer(block.bytes)) }
      try file.finish()
    } catch {
      throw .storage(error)
    }
  }

  /// Cuts the text into words and looks for their slots, with no answer.
  ///
  /// - Returns: Words, an empty one between two spaces included.
  package func split() -> Int { blocks.reduce(0) { $0 + warm.countWords(of: $1.bytes) } }

  /// Encodes the text with tables that have seen it before, if ``encode()`` has.
  package func lookUp() throws(TokenizerError) -> Counts { try encode(with: warm) }

  /// Encodes the text with a new encoder of a model read anew; only the library is not loaded
  /// before it is needed.
  package func encode() throws(TokenizerError) -> Counts {
    warm = LineEncoder(
      model: try SentencePieceModel(serialized: model.serialized, loadsLibrary: false))
    return try encode(with: warm)
  }

  private func encode(with encoder: LineEncoder) throws(TokenizerError) -> Counts {
    var counts = Counts()
    for block in blocks {
      if try !encoder.encodeBlock(block.bytes, into: result) {
        throw .invalidUTF8(path: path, line: block.firstLine + result.lineCount + 1)
      }
      counts.lines += result.lineCount
      counts.ids += result.idCount
      for line in result.lines { counts.words += Int(line.words) }
    }
    return counts
  }
}
