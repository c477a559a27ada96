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
    case ngramRate
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

  /// Takes out what a preset or a file brought and what else was chosen rules out.
  ///
  /// - Parameter fixed: What was asked for by itself: it stays, and is refused by `validate` where it
  ///   cannot be.
  /// - Returns: A sentence for each part that is gone.
  package mutating func takeOutWhatDoesNotFit(fixed: Set<RecipePart>) -> [String] {
    var gone: [String] = []
    if model.qkNorm, model.attention.kind == .yoso, !fixed.contains(.queryKeyNorm) {
      model.qkNorm = false
      gone.append("queries and keys are not normalised: YOSO looks at their directions alone")
    }
    if sampledSoftmax != nil, !model.cutoffs.isEmpty, !fixed.contains(.sampledSoftmax) {
      sampledSoftmax = nil
      gone.append("the softmax is not sampled: its clusters save that work already")
    }
    if optimizer.muonForm != nil, optimizer.kind != .muon, !fixed.contains(.muonForm) {
      optimizer.muonForm = nil
      gone.append("nothing is in Gram form: \(optimizer.kind.rawValue) makes no update orthogonal")
    }
    if optimizer.ngramRate != nil, model.ngrams.isEmpty, !fixed.contains(.ngramRate) {
      optimizer.ngramRate = nil
      gone.append("no rate of rows is left: there are no rows of pairs and triples")
    }
    return gone
  }
}

extension Preset {
  /// What of its recipe a preset leaves out for a vocabulary.
  ///
  /// - Returns: A sentence for each part.
  package func leftOut(vocabularySize: Int) -> [String] {
    let own = config(vocabularySize: self.vocabularySize).sampledSoftmax
    guard own != nil, config(vocabularySize: vocabularySize).sampledSoftmax == nil else {
      return []
    }
    return ["the softmax is not sampled: so small a vocabulary has little to leave out"]
  }
}
