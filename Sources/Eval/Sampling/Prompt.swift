package import LMData

/// Which prompts are accepted, and which pieces may follow.
package enum Prompt {
  /// The one line of a prompt, without the line break that ends it.
  ///
  /// - Throws: `EvaluationError.promptOfManyLines` if there are more.
  package static func line(of text: [UInt8]) throws(EvaluationError) -> [UInt8] {
    let newline = UInt8(ascii: "\n")
    var line = text[...]
    if line.last == newline {
      line.removeLast()
      if line.last == UInt8(ascii: "\r") { line.removeLast() }
    }
    let breaks = line.count { $0 == newline }
    guard breaks == 0 else { throw .promptOfManyLines(lines: breaks + 1) }
    return Array(line)
  }

  /// Markers, pieces that are empty or hold a newline, and rows of a model beyond its pieces.
  ///
  /// The model was trained on lines, where none of them occurs.
  ///
  /// - Parameters:
  ///   - ends: Other pieces that end a text, as `</s>` does.
  ///   - rows: Rows of the model, if they may be more than the pieces.
  package static func neverSampled(
    _ pieces: PieceTable, special: SpecialIDs, ends: [Int32] = [], rows: Int? = nil
  ) -> [Int32] {
    (0..<Int32(rows ?? pieces.count)).filter { id in
      guard id != special.eos, !ends.contains(id) else { return false }
      guard id < pieces.count else { return true }
      return id == special.bos || id == special.unk || pieces[id].isEmpty
        || pieces[id].contains(UInt8(ascii: "\n"))
    }
  }
}
