import Communication
import Deterministic
import LMData
import Model
import Tensor
import Train

/// More threads than this machine has processors would have enough to do.
extension Check {
  static let threads: [Check] = [
    Check("share of a training step outside parallel loops, percent") { withFault in
      let trace = try tracedStep(withFault: withFault)
      return Outcome(ratio: 100 * trace.serialSeconds / trace.seconds, atMost: 2)
    },
    Check("gain of a training step by 64 threads, from its pieces") { withFault in
      let trace = try tracedStep(withFault: withFault)
      return Outcome(
        ratio: trace.seconds / trace.seconds(threads: 64, wakeup: 5e-6), atLeast: 12)
    },
    Check("gain of a step of the preset news by 64 threads, from its pieces") { withFault in
      let trace = try tracedRecipe(inTurns: withFault)
      return Outcome(
        ratio: trace.seconds / trace.seconds(threads: 64, wakeup: 5e-6), atLeast: 12)
    },
    Check("gain of a step of Muon by 64 threads, from its pieces") { withFault in
      let trace = try tracedMuon(inTurns: withFault)
      return Outcome(
        ratio: trace.seconds / trace.seconds(threads: 64, wakeup: 5e-6), atLeast: 16)
    },
  ]

  /// A step of the preset, from reading its sentences to moving its rows, with fewer of these.
  private static func tracedRecipe(inTurns: Bool) throws -> LoopTrace {
    var config = try Preset.named("news").config(vocabularySize: 8_000)
    (config.model.bigramRows, config.model.trigramRows) = (1 << 14, 1 << 14)
    let random = RandomBatch(
      lengths: (0..<96).map { 16 + $0 % 33 }, vocabulary: config.model.vocabularySize)
    let batch = Batch(ids: random.ids, targets: random.targets, starts: random.starts)
    var parameters = try Parameters(config.model, on: kernels)
    parameters.ngrams = try NgramTables(config.model, isTrained: true, on: kernels)
    try parameters.initialize(seed: 1)
    let model = try Transformer(config.model, parameters: parameters, kernels: kernels)
    let gradient = try StepGradient(
      config, model: model, communicator: SingleProcess(), linkedBy: nil,
      largestStep: batch.positions)
    let optimizer = try Optimizer(config.optimizer, model: config.model, on: kernels)
    func runStep() throws {
      _ = try gradient.compute(batch, step: 1)
      optimizer.update(
        parameters, gradients: gradient.gradients, step: 1, rate: 1e-4,
        gradientNorm: try gradient.norm(), kernels: kernels)
      try gradient.moveNgrams(of: parameters)
      model.weightsChanged()
    }
    try runStep()
    return try LoopTrace.record(threads: 64, times: 3) {
      if inTurns { try Parallel.serially { try runStep() } } else { try runStep() }
    }
  }

  /// Muon on the matrices of four layers of 192, cut for 64 threads.
  private static func tracedMuon(inTurns: Bool) throws -> LoopTrace {
    let config = ModelConfig(
      vocabularySize: 100, width: 192, layers: 4, heads: 3, hidden: 512)
    let parameters = try Parameters(config, on: kernels)
    let gradients = try Parameters(config, on: kernels)
    let momentum = try Parameters(config, on: kernels)
    try parameters.initialize(seed: 1)
    try gradients.initialize(seed: 2)
    let matrices = parameters.layout.slots.filter { $0.role == .hidden }.map {
      MuonMatrix(
        parameters: parameters.view($0), gradients: gradients.view($0),
        momentum: momentum.view($0))
    }
    let step = MuonStep(rate: 1e-3, beta: 0.95, decay: 0.1, gradientScale: 1, form: .gram)
    func run() {
      if inTurns {
        for matrix in matrices { kernels.muon([matrix], step) }
      } else {
        kernels.muon(matrices, step)
      }
    }
    run()
    return LoopTrace.record(threads: 64, times: 4) { run() }
  }

  /// A step of two layers of 256 over 1,024 tokens, cut for 64 threads.
  private static func tracedStep(withFault: Bool) throws -> LoopTrace {
    var config = ModelConfig(
      vocabularySize: 4_000, width: 256, layers: 2, heads: 4, hidden: 704)
    config.use(.softmax)
    let batch = RandomBatch(
      lengths: Array(repeating: 64, count: 16), vocabulary: config.vocabularySize)
    let parameters = try Parameters(config, on: kernels)
    try parameters.initialize(seed: 1)
    let model = try Transformer(config, parameters: parameters, kernels: kernels)
    let gradients = try Parameters(config, on: kernels)
    let optimizer = try Optimizer(OptimizerConfig(), model: config, on: kernels)
    func runStep() throws {
      kernels.fill(gradients.all, with: 0)
      _ = try model.accumulateGradients(
        ids: batch.ids, targets: batch.targets, starts: batch.starts,
        gradientScale: 1 / Float(batch.ids.count), dropout: nil,
        draw: .training(seed: 1, step: 1), into: gradients)
      optimizer.update(
        model.parameters, gradients: gradients, step: 1, rate: 1e-4,
        gradientNorm: try Optimizer.norm(gradients, kernels: kernels), kernels: kernels)
      model.weightsChanged()
    }
    try runStep()
    return try LoopTrace.record(threads: 64, times: 4) {
      // As if the layers had a loop that was forgotten.
      if withFault { try Parallel.serially { try runStep() } } else { try runStep() }
    }
  }
}
