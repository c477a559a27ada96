/// How a score file writes what it holds.
package enum ScoreFormat: String, Sendable, CaseIterable {
  /// Columns with a header, separated by tabs.
  case table
  /// As `query -v sentence` of KenLM: `Total: -12.3 OOV: 0`, in logarithms to the base 10.
  case kenlm
  /// One JSON object a line.
  case jsonl
}
