package import LMData
import Model

/// What the steps of a run will hold: lengths of sequences, put into steps as training puts them.
///
/// A step takes whole sequences up to its budget, so it is never quite full, it may be half empty
/// where sentences are little longer than half the budget, and a sentence beyond the budget is a step
/// by itself.
package struct StepForecast: Sendable, Equatable {
  /// Steps of the run.
  package private(set) var steps = 0
  /// Targets of all of them.
  package private(set) var tokens = 0.0
  /// How often a length occurs in them; no whole numbers where steps are not foreseen one by one.
  package private(set) var sequences: [Int: Double] = [:]
  /// Tokens of the fullest step that was foreseen.
  package private(set) var largestStep = 0
  /// Of targets, by tail of a vocabulary with clusters, in the first shard; nil where nothing was read.
  package private(set) var tailShares: [Double]?
  /// Whether every step was foreseen, in the order of the run.
  package private(set) var isExact = true

  /// Ids that are read to foresee steps one by one: a shard of the benchmark, tenths of a second.
  package static let idsReadInOrder = 1 << 22
  private static let sampledPlaces = 16

  /// The steps of a run on a data set.
  ///
  /// The first are foreseen one by one, in the very order of the run. Where the run is longer, later
  /// ones are like these once they have gone through the whole split, and like a sample of the split
  /// before.
  ///
  /// - Parameter idsReadInOrder: How far the steps are foreseen one by one.
  package init(
    _ config: RunConfig, dataSet: DataSet, idsReadInOrder: Int = Self.idsReadInOrder
  ) throws {
    let (split, mode, budget) = (config.data.trainSplit, config.data.mode, config.batchTokens)
    let source = try TrainingSource(
      dataSet: dataSet, split: split, seed: config.seed, mode: mode, budget: budget)
    if let clusters = config.model.clusters {
      tailShares = clusters.shares(counts: try dataSet.tokenCounts(of: split, shards: 1))
    }
    // Every shard of every epoch is opened anew.
    let mostEpochs = 2_000 / max(1, dataSet.manifest.totals(of: split).shards)
    while steps < config.steps, tokens < Double(idsReadInOrder), source.cursor.epoch <= mostEpochs {
      add(try source.nextLengths())
    }
    guard steps < config.steps else { return }
    if source.cursor.epoch > 0 {
      scale(by: Double(config.steps) / Double(steps))
    } else {
      let lengths =
        if case .stream(let length) = mode {
          [length]
        } else {
          try dataSet.sampledLengths(
            split: split, places: Self.sampledPlaces, seed: config.seed)
        }
      addSteps(config.steps - steps, like: lengths, budget: budget)
    }
  }

  /// The steps of a run on sequences of given lengths, in this order.
  package init(steps: Int, lengths: [Int], budget: Int) {
    addSteps(steps, like: lengths, budget: budget)
  }

  /// The steps of a run whose sentences are all as long as the mean of their shard.
  package init(_ config: RunConfig, manifest: Manifest) {
    let shards = (manifest.splits[config.data.trainSplit] ?? []).filter { $0.sentences > 0 }
    let lengths =
      config.data.streamLength.map { [$0] }
      ?? shards.map { max(1, ($0.ids + $0.sentences / 2) / $0.sentences) }
    addSteps(config.steps, like: lengths.isEmpty ? [1] : lengths, budget: config.batchTokens)
  }

  private mutating func add(_ lengths: [Int]) {
    let total = lengths.reduce(0, +)
    steps += 1
    tokens += Double(total)
    largestStep = max(largestStep, total)
    for length in lengths { sequences[length, default: 0] += 1 }
  }

  private mutating func scale(by factor: Double) {
    steps = Int((Double(steps) * factor).rounded())
    tokens *= factor
    sequences = sequences.mapValues { $0 * factor }
    isExact = false
  }

  /// Adds steps that are filled with these lengths over and over.
  private mutating func addSteps(_ count: Int, like lengths: [Int], budget: Int) {
    var sample = StepForecast()
    var step: [Int] = []
    var filled = 0
    var index = 0
    // A few are enough where the lengths are few; all of them are used at least once.
    while sample.steps < count, index < lengths.count || sample.steps < 64 {
      let length = lengths[index % lengths.count]
      if filled > 0, filled + length > budget {
        sample.add(step)
        (step, filled) = ([], 0)
      }
      step.append(length)
      filled += length
      index += 1
      if index == lengths.count + 1 << 22 { break }
    }
    if sample.steps == 0 {
      // A step is larger than all of this: the same lengths, but more of each.
      sample.add(step)
      let factor = Double(budget) / sample.tokens
      sample.tokens *= factor
      sample.sequences = sample.sequences.mapValues { $0 * factor }
      sample.largestStep = budget
    }
    sample.scale(by: Double(count) / Double(sample.steps))
    steps += count
    tokens += sample.tokens
    largestStep = max(largestStep, sample.largestStep)
    for (length, number) in sample.sequences { sequences[length, default: 0] += number }
    isExact = false
  }

  private init() {}

  /// Sequences longer than a step should be, each a step by itself, and the longest of them.
  package func beyond(_ budget: Int) -> (count: Int, longest: Int) {
    let beyond = sequences.filter { $0.key > budget }
    return (Int(beyond.values.reduce(0, +).rounded()), beyond.keys.max() ?? 0)
  }
}

extension StepForecast {
  /// Steps that make so many passes over the training text: the last is the one that completes them.
  ///
  /// Foreseen one by one, in the order of the run, as far as `idsReadInOrder`; a longer run goes on as it
  /// began.
  ///
  /// - Parameters:
  ///   - epochs: More than 0.
  ///   - config: The run.
  ///   - manifest: Of its data.
  ///   - dataSet: Its data; nil where that is assumed.
  ///   - idsReadInOrder: How far the steps are foreseen one by one.
  package static func steps(
    for epochs: Double, _ config: RunConfig, manifest: Manifest, dataSet: DataSet?,
    idsReadInOrder: Int = Self.idsReadInOrder
  ) throws -> Int {
    let totals = manifest.totals(of: config.data.trainSplit)
    let wanted = epochs * Double(totals.tokens + totals.sentences)
    var (steps, tokens) = (0, 0.0)
    if let dataSet {
      let source = try TrainingSource(
        dataSet: dataSet, split: config.data.trainSplit, seed: config.seed, mode: config.data.mode,
        budget: config.batchTokens)
      while tokens < wanted, tokens < Double(idsReadInOrder) {
        tokens += Double(try source.nextLengths().reduce(0, +))
        steps += 1
      }
      if tokens >= wanted { return max(1, steps) }
    } else {
      let some = StepForecast(
        steps: 1_000, lengths: config.data.streamLength.map { [$0] } ?? AssumedData.lengths,
        budget: config.batchTokens)
      (steps, tokens) = (some.steps, some.tokens)
    }
    let needed = (wanted * Double(steps) / max(1, tokens)).rounded(.up)
    guard needed <= Double(1 << 32) else {
      throw TrainingError.invalid(
        "--epochs \(epochs) are more steps than the 4,294,967,296 that a run may have; give fewer epochs, or "
          + "more --batch-tokens")
    }
    return max(1, Int(needed))
  }
}
