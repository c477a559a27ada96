/// Which tokens may be drawn, and how sharply.
///
/// Applied in this order, each to what the one before has left: repetition penalty, temperature, top-k,
/// top-p, min-p.
package struct SamplingOptions: Sendable, Equatable {
  /// Logits are divided by it; 0 takes the most probable token always.
  package var temperature = 1.0
  /// Number of most probable tokens kept; 0 keeps all.
  package var topK = 0
  /// The fewest most probable tokens that together reach this probability are kept; 1 keeps all.
  ///
  /// Source: Holtzman et al., The curious case of neural text degeneration (2020), arXiv
  /// 1904.09751, section 3.1.
  package var topP = 1.0
  /// Tokens less probable than this part of the most probable one are dropped; 0 keeps all.
  ///
  /// Source: Nguyen et al., Turning up the heat (2024), arXiv 2407.01082, section 3.
  package var minP = 0.0
  /// Logits of tokens that stand in the prompt or the sample already are divided by it where they are above
  /// 0 and multiplied where they are below; 1 leaves them alone.
  ///
  /// Source: Keskar et al., CTRL: a conditional transformer language model for controllable generation
  /// (2019), arXiv 1909.05858, section 4.1; for logits below 0 as in Hugging Face transformers.
  package var repetitionPenalty = 1.0

  package init() {}

  /// Throws if an option is out of range.
  package func validate() throws(EvaluationError) {
    func require(
      _ holds: Bool, _ name: String, _ value: String, _ expected: String
    ) throws(EvaluationError) {
      guard holds else { throw .invalid("\(name) is \(value), expected \(expected)") }
    }
    try require(
      temperature >= 0 && temperature.isFinite, "temperature", "\(temperature)",
      "0 (the most probable token always) or a positive number")
    try require(topK >= 0, "top-k", "\(topK)", "0 (all tokens) or a positive number")
    try require(
      topP > 0 && topP <= 1, "top-p", "\(topP)", "a number above 0 and at most 1 (all tokens)")
    try require(
      (0.01...100).contains(repetitionPenalty), "repetition-penalty",
      "\(repetitionPenalty)", "a number from 0.01 to 100; 1 changes nothing")
    try require(minP >= 0 && minP <= 1, "min-p", "\(minP)", "a number from 0 (all tokens) to 1")
  }
}
