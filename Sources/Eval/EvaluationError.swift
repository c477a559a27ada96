/// Why text cannot be scored or continued.
package enum EvaluationError: Error, CustomStringConvertible, Equatable {
  /// The ids of the data mean other pieces than those of the model.
  case otherTokenizer(data: String, found: String, checkpoint: String, expected: String)
  /// The checkpoint's own tokenizer has not the pieces its model was built for.
  case otherVocabulary(tokenizer: String, found: String, expected: String)
  /// A split with shards that do not hold what the manifest promises.
  case miscounted(split: String, what: String, expected: Int, found: Int)
  /// A sentence whose pieces do not spell it, so that its probability would be another text's.
  case notSpelled(place: String)
  /// A probability that is no number; only damaged or diverged weights give one.
  case notFinite(place: String)
  /// There is not one sentence to score.
  case nothingToScore
  /// Options of sampling that mean no distribution.
  case invalid(String)
  /// More pieces than the model promises to continue.
  case promptTooLong(pieces: Int, longest: Int)
  /// A prompt that is not one line.
  case promptOfManyLines(lines: Int)
  /// Logits that are no numbers.
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
      "\(place): the pieces of the tokenizer do not spell this sentence, so no perplexity of it "
        + "would be honest"
    case .notFinite(let place):
      "\(place): the model gives a probability that is not a number; its weights are damaged or "
        + "the training diverged"
    case .nothingToScore: "the text has no sentence to score"
    case .invalid(let problem): problem
    case .promptTooLong(let pieces, let longest):
      "the prompt has \(pieces) pieces, but this model continues prompts of at most \(longest); "
        + "shorten it"
    case .promptOfManyLines(let lines):
      "the prompt has \(lines) lines, but a prompt is one line: the model was trained line by line; "
        + "join the lines or give one of them"
    case .noLogits(let step):
      "the model gives no numbers for piece \(step + 1) of the continuation; its weights are "
        + "damaged or the training diverged"
    }
  }
}
