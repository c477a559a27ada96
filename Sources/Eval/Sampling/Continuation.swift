/// A continuation of a prompt.
package struct Continuation: Sendable, Equatable {
  /// Why it ends.
  package enum End: Sendable, Equatable {
    /// The model closed the sentence.
    case sentence
    /// The limit of tokens was reached, that of the caller or of the model.
    case length
    /// Its text holds one of the texts to stop at.
    case stop
  }

  /// The tokens that follow the prompt, without `</s>`.
  package var ids: [Int32] = []
  package var end = End.length
  /// ln p of every token under the model, without any of the sampling options, and of `</s>` if it closed
  /// the sentence; empty if they were not asked for.
  package var logProbabilities: [Double] = []

  package init() {}
}
