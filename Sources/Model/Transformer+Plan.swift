import Storage
package import Tensor

/// Memory, planned before it is taken.
extension Transformer {
  /// Numbers of the activations of training and scoring, which take turns in the same memory.
  package static func activationSize(
    _ config: ModelConfig, training: Int, scoring: Int, on device: any Device
  ) -> ActivationSize {
    Activations.size(config, positions: training, training: true, on: device).joined(
      Activations.size(config, positions: scoring, training: false, on: device))
  }

  /// What a pass over so many positions asks of the kernels.
  ///
  /// - Parameters:
  ///   - config: Dimensions of the model.
  ///   - positions: Of a batch.
  ///   - scored: Positions of a batch that is scored; as many as `positions` if nil.
  ///   - sequences: Of a batch, at most.
  ///   - candidates: Tokens that a sampled loss normalises over, at most; 0 without one.
  ///   - muon: Shapes of the matrices that Muon moves.
  ///   - muonForm: How it makes them orthogonal.
  ///   - attention: What one layer's attention borrows.
  package static func workPlan(
    _ config: ModelConfig, positions: Int, scored: Int? = nil, sequences: Int, candidates: Int = 0,
    muon: [(rows: Int, columns: Int)] = [], muonForm: MuonForm = .standard,
    attention: WorkingNeed
  ) -> WorkPlan {
    let width = config.width
    return WorkPlan(
      positions: positions, scored: scored, width: width,
      vocabulary: config.clusters?.mostRows ?? config.vocabularySize,
      candidates: candidates,
      products: [
        WorkPlan.Product(outputs: config.qkvWidth, inputs: width),
        WorkPlan.Product(outputs: width, inputs: config.attentionWidth),
        WorkPlan.Product(outputs: 2 * config.hidden, inputs: width),
        WorkPlan.Product(outputs: width, inputs: config.hidden),
      ], muon: muon, muonForm: muonForm, attention: attention,
      attentionTasks: config.heads * min(sequences, Buffer.mostNumbers / config.heads),
      layers: config.layers, drawn: config.mechanism.drawnNumbers)
  }

  /// Asks whether the memory for scoring a batch is to be had, before any of it is taken.
  ///
  /// - Parameters:
  ///   - starts: First position of every sequence and, last, N.
  ///   - purpose: What is scored, as a noun for the error.
  ///   - advice: How to need less, for the error.
  /// - Throws: `MemoryShortage` if this process cannot take as much.
  package func planScoring(starts: [Int], purpose: String, advice: String) throws {
    let positions = starts.last ?? 0
    // A training run has planned its validations.
    guard positions > scoredPositions, trainingMemory == nil else { return }
    let longest = zip(starts.dropFirst(), starts).map { $0 - $1 }.max() ?? 0
    // What was taken for a smaller batch is given back first.
    let held = scoringMemory?.size.bytes(on: kernels) ?? 0
    let activations = Activations.size(
      config, positions: positions, training: false, on: kernels)
    var need = max(0, activations.bytes(on: kernels) - held)
    // Ids, targets, positions, scores and their copies on the way out.
    need += 64 * min(positions, Buffer.mostNumbers >> 8)
    try MemoryLimit.require(need, on: kernels, for: purpose, advice: advice)
    if positions > Self.ordinaryPositions {
      // Most attentions borrow by the length of a sequence; the trial is small beside the batch.
      let attention = try AttentionTrial.workingNeed(
        config, on: kernels, longest: longest, positions: positions, isScoring: true)
      need += kernels.workingBytes(
        Self.workPlan(
          config, positions: positions, sequences: starts.count - 1, attention: attention))
      try MemoryLimit.require(need, on: kernels, for: purpose, advice: advice)
    }
    scoredPositions = positions
  }

  /// Up to so many positions at a time, what kernels borrow is a few megabytes.
  private static let ordinaryPositions = 4_096
}
