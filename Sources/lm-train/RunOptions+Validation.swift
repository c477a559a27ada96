import ArgumentParser
import CommandSupport
import Train

/// What is asked for, before anything is read.
extension RunOptions {
  /// Refuses values that cannot be, each by the name of its option.
  func validate() throws {
    let ranges: [(name: String, value: Int?, least: Int, most: Int)] = [
      ("--layers", layers, 1, 1 << 20), ("--width", width, 1, 1 << 20),
      ("--heads", heads, 1, 1 << 20), ("--hidden", hidden, 1, 1 << 24),
      ("--relative-bias-length", relativeBiasLength, 1, 1 << 26),
      ("--steps", steps, 1, 1 << 32), ("--batch-tokens", batchTokens, 1, 1 << 26),
      ("--micro-batch-tokens", microBatchTokens, 1, 1 << 26),
      ("--gradient-shares", gradientShares, 1, 1 << 12),
      // A window of one token would see nothing but the token before.
      ("--stream-length", streamLength, 2, 1 << 26), ("--warmup", warmup, 0, 1 << 32),
      ("--skip-budget", skipBudget, 0, 1 << 32), ("--log-every", logEvery, 1, 1 << 32),
      ("--validate-every", validateEvery, 0, 1 << 32),
      ("--validation-sequences", validationSequences, 0, 1 << 40),
      ("--softmax-candidates", softmaxCandidates, 0, 1 << 24),
      ("--bigram-rows", bigramRows, 0, 1 << 28), ("--trigram-rows", trigramRows, 0, 1 << 28),
      ("--cluster-factor", clusterFactor, 1, 64),
      ("--checkpoint-every", checkpointEvery, 0, 1 << 32), ("--keep-last", keepLast, 1, 1 << 32),
      ("--keep-every", keepEvery, 0, 1 << 32), ("--sample-every", sampleEvery, 0, 1 << 32),
      ("--patience", patience, 0, 1 << 32),
    ]
    for (name, value, least, most) in ranges {
      guard let value, !(least...most).contains(value) else { continue }
      throw ValidationError(
        "\(name) is \(value), expected "
          + (value < least ? "\(least) or more" : "\(Format.count(most)) at most"))
    }
    for (name, value) in [
      ("--rate", rate), ("--embedding-rate", embeddingRate), ("--ngram-rate", ngramRate),
      ("--matrix-rate", matrixRate),
    ] {
      try require(name, value, "1e-30 to 1,000,000", OptimizerConfig.rates.contains)
    }
    try require("--full-softmax-share", fullSoftmaxShare, "0 to 1") { $0 >= 0 && $0 <= 1 }
    try require(
      "--weight-decay", weightDecay, "0 to 1,000", OptimizerConfig.decays.contains)
    try require("--dropout", dropout.map(Double.init), "0 or more and less than 1") {
      $0 >= 0 && $0 < 1
    }
    try require("--epochs", epochs, "more than 0") { $0 > 0 }
    try require("--ema", ema, "0 or more and less than 1") { $0 >= 0 && $0 < 1 }
    try require("--decay-share", decayShare, "0 to 1") { $0 >= 0 && $0 <= 1 }
    try require("--grad-clip", gradClip, "0 or more") { $0 >= 0 }
    if steps != nil, epochs != nil {
      throw ValidationError("give --steps or --epochs, not both")
    }
    try require("--spike-deviations", spikeDeviations, "0 or more") { $0 >= 0 }
    try require("--schedule", schedule, among: Schedule.kinds)
    try require("--preset", preset, among: Preset.all.map(\.name))
  }

  private func require(
    _ name: String, _ value: Double?, _ expected: String, _ holds: (Double) -> Bool
  ) throws {
    guard let value, !(value.isFinite && holds(value)) else { return }
    throw ValidationError("\(name) is \(value), expected \(expected)")
  }

  private func require(_ name: String, _ value: String?, among values: [String]) throws {
    guard let value, !values.contains(value) else { return }
    throw ValidationError(
      "\(name) is \"\(value)\", expected one of \(values.joined(separator: ", "))")
  }
}
