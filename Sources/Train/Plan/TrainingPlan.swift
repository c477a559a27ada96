import Eval
package import LMData
import Model
package import Tensor

/// What a run will need, known before its first step.
package struct TrainingPlan: Sendable, Encodable {
  /// Without the rows of n-grams, of which a step reads and moves a few.
  package let parameters: Int
  /// Numbers in rows of n-grams.
  package let ngramNumbers: Int
  /// Planned memory in all, in bytes.
  package let bytes: Int
  /// Weights, gradients of one or more shares, both moments, the running average, and rows of n-grams with
  /// what belongs to them, in bytes.
  package let parameterBytes: Int
  /// Activations and backward scratch of the largest micro-batch, or those of validation, which
  /// take turns with them, and the rows of a sampled head, in bytes.
  package let activationBytes: Int
  /// What kernels borrow while they run, in bytes.
  package let workingBytes: Int
  /// The largest shards of training and validation, decoded, in bytes.
  package let dataBytes: Int
  /// Program, libraries and tokenizer, in bytes.
  package let programBytes: Int
  /// Largest micro-batch, in positions.
  package let positions: Int
  /// FLOPs per token of training, over all sequences of the run.
  package let trainingFlopsPerToken: Double
  /// FLOPs per token of scoring.
  package let forwardFlopsPerToken: Double
  /// Targets of one epoch, `</s>` included.
  package let tokensPerEpoch: Int
  /// Targets of the whole run: steps take whole sentences up to their budget.
  package let tokens: Int
  /// Passes over the training split.
  package let epochs: Double
  /// Sequences beyond the budget of a step, which are a step by themselves, in the whole run.
  package let sequencesBeyondStep: Int
  /// Tokens of the longest of them; 0 if there is none.
  package let longestBeyondStep: Int
  /// Whether every step was foreseen, not estimated from others.
  package let isExact: Bool

  /// - Parameters:
  ///   - config: The run.
  ///   - kernels: Where it is to run.
  ///   - ranks: How many train it together; memory is that of the one that needs most.
  ///   - manifest: Of the data set.
  ///   - forecast: What the steps will hold; without it, sentences of the mean length.
  ///   - work: What ``work(_:on:manifest:)`` says, if that is known.
  ///   - programBytes: What the process holds already, tokenizer loaded.
  package init(
    _ config: RunConfig, on kernels: any Kernels,
    ranks: Int = 1, manifest: Manifest, forecast: StepForecast? = nil, work: WorkPlan? = nil,
    programBytes: Int = 0
  ) throws {
    let forecast = forecast ?? StepForecast(config, manifest: manifest)
    let totals = manifest.totals(of: config.data.trainSplit)
    parameters = ParameterLayout(config.model).count
    ngramNumbers = config.model.ngramNumbers
    parameterBytes = try Self.parameterBytes(
      config, on: kernels, ranks: ranks, manifest: manifest)
    positions = Trainer.plannedPositions(config, manifest: manifest)
    activationBytes =
      Transformer.activationSize(
        config.model, training: positions,
        scoring: Trainer.plannedScoring(config, manifest: manifest), on: kernels
      ).bytes(on: kernels)
      + (config.mostCandidates(targets: Trainer.largestStep(config, manifest: manifest)).map {
        CandidateHead.bytes(config.model, capacity: $0, on: kernels)
      } ?? 0)
    workingBytes = kernels.workingBytes(
      try work ?? Self.work(config, on: kernels, manifest: manifest))
    dataBytes =
      Self.decodedBytes(config.data.trainSplit, config.data.mode, manifest)
      + Self.decodedBytes(config.data.validSplit, config.data.mode, manifest)
    self.programBytes = programBytes
    bytes = parameterBytes + activationBytes + workingBytes + dataBytes + programBytes
    tokensPerEpoch = totals.tokens + totals.sentences
    tokens = Int(forecast.tokens.rounded())
    epochs = forecast.tokens / Double(max(1, tokensPerEpoch))
    (sequencesBeyondStep, longestBeyondStep) = forecast.beyond(config.batchTokens)
    isExact = forecast.isExact
    let work = Cost(config.model).work(forecast.sequences, shares: forecast.tailShares)
    let sampled = config.sampledSoftmax.map {
      Cost(config.model).work(forecast.sequences, headRows: $0.candidates).training
    }
    let full = 1 - config.sampledShare
    trainingFlopsPerToken =
      (full * work.training + (1 - full) * (sampled ?? 0)) / max(1, forecast.tokens)
    forwardFlopsPerToken = work.forward / max(1, forecast.tokens)
  }

  /// Memory of the device: weights and what belongs to them, activations, what kernels borrow.
  package var deviceBytes: Int { parameterBytes + activationBytes + workingBytes }

  /// What the steps and validations of a run ask of the kernels; takes a tenth of a second.
  ///
  /// - Throws: `ModelError` if the configuration is no model.
  package static func work(
    _ config: RunConfig, on kernels: any Kernels, manifest: Manifest
  ) throws -> WorkPlan {
    let positions = Trainer.plannedPositions(config, manifest: manifest)
    let longest =
      config.data.streamLength
      ?? [config.data.trainSplit, config.data.validSplit].reduce(0) {
        max($0, manifest.totals(of: $1).longestSentence)
      } + 1
    // Beside the longest sequence, the others of a batch have a position each at least.
    let scored = Trainer.plannedScoring(config, manifest: manifest)
    let batch = max(positions, scored)
    let muon = ParameterLayout(config.model).slots.filter {
      config.optimizer.kind(of: $0) == .muon
    }
    return Transformer.workPlan(
      config.model, positions: positions, scored: scored, sequences: max(1, batch - longest + 1),
      candidates: config.mostCandidates(targets: Trainer.largestStep(config, manifest: manifest))
        ?? 0,
      muon: muon.map { ($0.rows, $0.columns) }, muonForm: config.optimizer.muonForm ?? .standard,
      attention: try AttentionTrial.workingNeed(
        config.model, on: kernels, longest: longest, positions: positions
      ).joined(
        AttentionTrial.workingNeed(
          config.model, on: kernels, longest: longest, positions: scored, isScoring: true)))
  }

  /// Weights, sums of gradients and moments of the rank that has most of them.
  private static func parameterBytes(
    _ config: RunConfig, on kernels: any Kernels, ranks: Int, manifest: Manifest
  ) throws -> Int {
    guard ranks <= config.shares else {
      throw TrainingError.processes(ranks, shares: config.shares)
    }
    let weights = ParameterLayout(config.model).count
    let positions = Trainer.largestStep(config, manifest: manifest)
    let fixed =
      NgramTables.bytes(config.model, on: kernels)
      + (kernels.hasTwoTypes ? kernels.bytes(count: weights, for: .compute) : 0)
    return (0..<ranks).map { rank in
      ([weights] + StepGradient.numbers(config, ranks: ranks, rank: rank)
        + NgramSums.numbers(config, positions: positions, ranks: ranks, rank: rank)
        + Optimizer.numbers(config, ranks: ranks, rank: rank)
        + WeightAverage.numbers(config, ranks: ranks, rank: rank))
        .reduce(fixed) { $0 + kernels.bytes(count: $1) }
    }.max() ?? 0
  }

  /// Ids, places of sentences and order of the largest shard of a split.
  private static func decodedBytes(
    _ split: String, _ mode: SequenceMode, _ manifest: Manifest
  ) -> Int {
    let shards = manifest.splits[split] ?? []
    return shards.map { shard in
      (shard.tokens + shard.sentences) * MemoryLayout<Int32>.stride
        + shard.sentences * MemoryLayout<Int>.stride
        + mode.count(in: shard) * MemoryLayout<UInt32>.stride
    }.max() ?? 0
  }

  /// Seconds of the whole run at a speed in FLOPs per second.
  package func seconds(at flopsPerSecond: Double) -> Double {
    Double(tokens) * trainingFlopsPerToken / flopsPerSecond
  }
}

extension Trainer {
  /// Positions the largest micro-batch can have: the budget, or the longest sentence beyond it.
  package static func plannedPositions(_ config: RunConfig, manifest: Manifest) -> Int {
    let longest =
      config.data.streamLength
      ?? manifest.totals(of: config.data.trainSplit).longestSentence + 1
    return max(min(config.microBatchTokens, config.batchTokens), longest)
  }

  /// Targets of a step at most: the budget, or the longest sentence beyond it.
  static func largestStep(_ config: RunConfig, manifest: Manifest) -> Int {
    let longest =
      config.data.streamLength
      ?? manifest.totals(of: config.data.trainSplit).longestSentence + 1
    return max(config.batchTokens, longest)
  }

  /// Positions scored at a time by a validation: the budget or a longer sentence, but no more than
  /// there are.
  package static func plannedScoring(_ config: RunConfig, manifest: Manifest) -> Int {
    let totals = manifest.totals(of: config.data.validSplit)
    let longest = config.data.streamLength ?? totals.longestSentence + 1
    return min(max(Evaluator.defaultPositions, longest), totals.tokens + totals.sentences)
  }
}
