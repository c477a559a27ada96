package import LMData
import Model
import Eval
import Tensor

/// What a run will need, known before its first step.
package struct TrainingPlan: Sendable {
  package let parameters: Int
  /// Weights, gradients and both moments, in bytes.
  package let parameterBytes: Int
  /// Activations and backward scratch of the largest micro-batch, in bytes.
  package let activationBytes: Int
  /// Activations of validation, the logits of one block and the panels of one product, in bytes.
  package let scoringBytes: Int
  /// Largest micro-batch, in positions.
  package let positions: Int
  /// FLOPs per piece of training, at the mean sequence length of the data.
  package let trainingFlopsPerPiece: Double
  /// FLOPs per piece of scoring.
  package let forwardFlopsPerPiece: Double
  /// Targets of one epoch, `</s>` included.
  package let piecesPerEpoch: Int
  /// Targets of the whole run, about: steps take whole sentences up to their budget.
  package let pieces: Int

  package init(_ config: RunConfig, manifest: Manifest) {
    let totals = manifest.totals(of: config.data.trainSplit)
    parameters = ParameterLayout(config.model).count
    parameterBytes = 4 * parameters * MemoryLayout<Float>.stride
    positions = Trainer.plannedPositions(config, manifest: manifest)
    activationBytes = Activations.bytes(config.model, positions: positions, training: true)
    piecesPerEpoch = totals.pieces + totals.sentences
    pieces = config.steps * config.batchPieces
    let longest = manifest.totals(of: config.data.validSplit).longestSentence + 1
    let scored = max(Evaluator.defaultPositions, config.data.streamLength ?? longest)
    scoringBytes =
      Activations.bytes(config.model, positions: scored, training: false)
      + (crossEntropyScratchFloats(vocabulary: config.model.vocabularySize) + productScratchFloats)
      * MemoryLayout<Float>.stride
    let length =
      config.data.streamLength
      ?? max(1, (piecesPerEpoch + totals.sentences / 2) / max(1, totals.sentences))
    let cost = Cost(config.model)
    trainingFlopsPerPiece = cost.training(lengths: [length]) / Double(length)
    forwardFlopsPerPiece = cost.forward(lengths: [length]) / Double(length)
  }

  /// Planned memory in all, in bytes.
  package var bytes: Int { parameterBytes + activationBytes + scoringBytes }

  /// Seconds of the whole run at a speed in FLOPs per second.
  package func seconds(at flopsPerSecond: Double) -> Double {
    Double(pieces) * trainingFlopsPerPiece / flopsPerSecond
  }
}
