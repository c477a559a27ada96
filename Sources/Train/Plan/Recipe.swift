import Model
import Tensor

/// What the winner of the race has on top of a decoder (docs/recipe.md), and what of it a choice rules
/// out.
extension RunConfig {
  /// An option of the recipe that does not go with everything.
  package enum RecipePart: Sendable {
    case queryKeyNorm
    case sampledSoftmax
    case muonForm
  }

  /// Turns on all options of the recipe.
  ///
  /// - Parameters:
  ///   - bigramRows: Rows for hashed pairs of tokens.
  ///   - trigramRows: Rows for hashed triples.
  ///   - candidates: Tokens of the softmax in training; with a vocabulary of no more than twice as many,
  ///     which has little to leave out, it is not sampled.
  mutating func useRecipe(bigramRows: Int, trigramRows: Int, candidates: Int) {
    optimizer.kind = .muon
    optimizer.muonForm = .gram
    model.zeroInitResidual = true
    model.qkNorm = true
    model.bigramRows = bigramRows
    model.trigramRows = trigramRows
    if model.vocabularySize > 2 * candidates {
      sampledSoftmax = SampledSoftmaxConfig(candidates: candidates)
    }
  }

  /// Takes out what a preset brought and what else was chosen rules out.
  ///
  /// - Parameter asked: What was asked for by itself: it stays, and is refused by `validate` where it
  ///   cannot be.
  /// - Returns: A sentence for each part that is gone.
  package mutating func takeOutWhatDoesNotFit(asked: Set<RecipePart>) -> [String] {
    var gone: [String] = []
    if model.qkNorm, model.attention.kind == .yoso, !asked.contains(.queryKeyNorm) {
      model.qkNorm = false
      gone.append("queries and keys are not normalised: YOSO looks at their directions alone")
    }
    if sampledSoftmax != nil, !model.cutoffs.isEmpty, !asked.contains(.sampledSoftmax) {
      sampledSoftmax = nil
      gone.append("the softmax is not sampled: its clusters save that work already")
    }
    if optimizer.muonForm != nil, optimizer.kind != .muon, !asked.contains(.muonForm) {
      optimizer.muonForm = nil
    }
    return gone
  }
}
