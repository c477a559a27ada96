import CPUBackend
import Storage
import Tensor

extension Transformer {
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
    guard positions > scoredPositions, trainingBuffer == nil else { return }
    let longest = zip(starts.dropFirst(), starts).map { $0 - $1 }.max() ?? 0
    // What was taken for a smaller batch is given back first.
    let held = scoringBuffer?.count ?? 0
    let activations = Activations.floats(config, positions: positions, training: false)
    var need = Buffer.bytes(count: max(0, activations - held))
    // Ids, targets, positions, scores and their copies on the way out.
    need += 64 * min(positions, Buffer.mostFloats >> 8)
    try MemoryLimit.require(need, for: purpose, advice: advice)
    if positions > Self.ordinaryPositions {
      // Most attentions borrow by the length of a sequence; the trial is small beside the batch.
      need += WorkingMemory.bytes(
        vocabulary: config.vocabularySize,
        panels: Self.panelFloats(config, positions: positions),
        attention: try AttentionTrial.workingMemory(
          config, longest: longest, positions: positions, isScoring: true))
      try MemoryLimit.require(need, for: purpose, advice: advice)
    }
    scoredPositions = positions
  }

  /// Up to so many positions at a time, what kernels borrow is a few megabytes.
  private static let ordinaryPositions = 4_096
}
