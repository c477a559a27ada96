import Eval
package import LMData
package import Model
import Storage

/// What the model writes after a step, from the beginning of a line on; one line of `samples.jsonl`.
package struct TrainingSample: StepEntry, Equatable {
  package static let fileName = "samples.jsonl"
  /// Sentences of each step.
  package static let count = 4
  /// Tokens after which a sentence is cut off.
  package static let longest = 60

  package var step: Int
  package var texts: [String]

  package init(step: Int, texts: [String]) {
    self.step = step
    self.texts = texts
  }

  /// Draws with the same numbers after every step, so that only the model changes.
  ///
  /// The weights are read and nothing of the training is touched.
  package static func draw(
    _ model: Transformer, tokens: TokenTable, special: SpecialIDs, seed: UInt64, step: Int
  ) throws -> TrainingSample {
    let sampler = try Sampler(
      SamplingOptions(), seed: seed, vocabulary: model.config.vocabularySize,
      excluded: Prompt.neverSampled(tokens, special: special))
    let generator = Generator(model: model, sampler: sampler, maximumTokens: longest)
    let texts = try generator.continuations(of: [], count: count).map {
      String(decoding: tokens.decode($0.ids), as: UTF8.self)
    }
    return TrainingSample(step: step, texts: texts)
  }
}
