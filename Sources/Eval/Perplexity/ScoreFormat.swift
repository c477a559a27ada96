/// How a score file writes a sentence.
package enum ScoreFormat: String, Sendable, CaseIterable {
  /// Columns with a header.
  case table
  /// As `query -v sentence` of KenLM: `Total: -12.3 OOV: 0`, in logarithms to the base 10.
  case kenlm
}
