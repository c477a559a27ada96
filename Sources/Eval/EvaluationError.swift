/// Why a text cannot be scored, or a prompt continued.
package enum EvaluationError: Error, CustomStringConvertible, Equatable {
  /// The data set was made with another tokenizer than the model.
  case otherTokenizer(data: String, found: String, checkpoint: String, expected: String)
  /// The checkpoint's own tokenizer has other tokens than its model was built for.
  case otherVocabulary(tokenizer: String, found: String, expected: String)
  /// A split whose counts differ from those of the manifest.
  case miscounted(split: String, what: String, expected: Int, found: Int)
  /// A sentence whose tokens do not decode to it: the probability would be that of another text.
  case notSpelled(place: String)
  /// A probability that is NaN or infinite: the weights are damaged or diverged.
  case notFinite(place: String)
  /// The text has no sentence.
  case nothingToScore
  /// An option that cannot be used; the sentence says why.
  case invalid(String)
  /// More tokens than the model can read.
  case promptTooLong(tokens: Int, longest: Int)
  /// A prompt that is not one line.
  case promptOfManyLines(lines: Int)
  /// Logits that are NaN or +∞, or all -∞.
  case noLogits(step: Int)

  package var description: String {
    switch self {
    case .otherTokenizer(let data, let found, let checkpoint, let expected):
      "\(data) was made with another tokenizer than \(checkpoint): the SHA-256 of its tokenizer is "
        + "\(found), expected \(expected); score the text itself with --text, or tokenize it again "
        + "with the tokenizer of the checkpoint"
    case .otherVocabulary(let tokenizer, let found, let expected):
      "\(tokenizer) has \(found), but the model beside it was built for \(expected); the files are "
        + "of different checkpoints"
    case .miscounted(let split, let what, let expected, let found):
      "the split \(split) has \(found) \(what), but its manifest says \(expected); run lm-tokenize "
        + "again"
    case .notSpelled(let place):
      "\(place): the tokens of the tokenizer do not spell this sentence, so no perplexity of it "
        + "would be honest"
    case .notFinite(let place):
      "\(place): the model gives a probability that is not a number; its weights are damaged or "
        + "the training diverged"
    case .nothingToScore: "the text has no sentence to score"
    case .invalid(let problem): problem
    case .promptTooLong(let tokens, let longest):
      "the prompt has \(tokens) tokens, but this model continues prompts of at most \(longest); "
        + "shorten it"
    case .promptOfManyLines(let lines):
      "the prompt has \(lines) lines, but a prompt is one line: the model was trained line by line; "
        + "join the lines or give one of them"
    case .noLogits(let step):
      "the model gives no numbers for token \(step + 1) of the continuation; its weights are "
        + "damaged or the training diverged"
    }
  }
}
