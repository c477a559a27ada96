package import LMData

/// Which prompts are accepted, and which tokens may follow.
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

  /// Markers, tokens that are empty or hold a newline, and rows of a model beyond its tokens.
  ///
  /// The model was trained on lines, where none of them occurs.
  ///
  /// - Parameters:
  ///   - ends: Other tokens that end a text, as `</s>` does.
  ///   - rows: Rows of the model, if they may be more than the tokens.
  package static func neverSampled(
    _ tokens: TokenTable, special: SpecialIDs, ends: [Int32] = [], rows: Int? = nil
  ) -> [Int32] {
    (0..<Int32(rows ?? tokens.count)).filter { id in
      guard id != special.eos, !ends.contains(id) else { return false }
      guard id < tokens.count else { return true }
      return id == special.bos || id == special.unk || tokens[id].isEmpty
        || tokens[id].contains(UInt8(ascii: "\n"))
    }
  }
}
