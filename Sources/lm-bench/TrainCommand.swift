import ArgumentParser
import Dispatch
import Model
import Tensor
import Train

/// Speed of a whole training step or of scoring, beside the machine's matrix-product peak.
struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train", abstract: "Time whole training steps of a decoder.",
    discussion: "The defaults are the shapes that PyTorch was measured on: 6 layers of 512.")

  @Option(help: "Layers.") var layers = 6
  @Option(help: "Model width.") var width = 512
  @Option(help: "Attention heads.") var heads = 8
  @Option(help: "Feed-forward width.") var hidden = 1_408
  @Option(help: "Pieces of the vocabulary.") var vocabulary = 32_000
  @Option(help: "Length of every sequence, in pieces.") var length = 256
  @Option(help: "Sequences of a step.") var batch = 8
  @Option(help: "Timed steps; the median counts.") var steps = 6
  @Option(
    help: "Attention as lm-train takes it.", transform: { try AttentionConfig(parsing: $0) })
  var attention = AttentionConfig.softmax
  @Flag(help: "Score only: forward, no gradients, no update.") var forward = false
  @Option(help: "Threads (all processors).") var threads: Int?

  func validate() throws {
    for (name, value) in [
      ("length", length), ("batch", batch), ("steps", steps), ("threads", threads ?? 1),
    ] where value < 1 {
      throw ValidationError("--\(name) is \(value), expected 1 or more")
    }
  }

  func run() throws {
    if let threads { Parallel.threads = threads }
    var config = ModelConfig(
      vocabularySize: vocabulary, width: width, layers: layers, heads: heads, hidden: hidden)
    config.use(attention)
    try config.validate()
    let parameters = Parameters(config)
    parameters.initialize(seed: 1)
    let model = try Transformer(config, parameters: parameters)
    let gradients = Parameters(config)
    let optimizer = Optimizer(OptimizerConfig(), model: config)
    let random = CounterRandom(seed: 2)
    let count = batch * length
    let ids = (0..<count + 1).map { Int32(random.bits(UInt64($0)) % UInt64(vocabulary)) }
    let starts = (0...batch).map { $0 * length }
    let peak = MatrixPeak.measure()
    var seconds: [Double] = []
    for step in 1...steps + 2 {
      let began = DispatchTime.now().uptimeNanoseconds
      if forward {
        _ = model.nllNats(
          ids: Array(ids.dropLast()), targets: Array(ids.dropFirst()), starts: starts)
      } else {
        gradients.all.fill(0)
        _ = model.accumulateGradients(
          ids: Array(ids.dropLast()), targets: Array(ids.dropFirst()), starts: starts,
          gradientScale: 1 / Float(count), dropout: nil, into: gradients)
        optimizer.update(
          parameters, gradients: gradients, step: step, rate: 1e-4,
          gradientNorm: Optimizer.norm(gradients, kernels: model.kernels),
          kernels: model.kernels)
      }
      if step > 2 { seconds.append(Double(DispatchTime.now().uptimeNanoseconds - began) * 1e-9) }
    }
    let median = seconds.sorted()[seconds.count / 2]
    let lengths = Array(repeating: length, count: batch)
    let cost = Cost(config)
    let flops = forward ? cost.forward(lengths: lengths) : cost.training(lengths: lengths)
    let rate = flops / median
    print(
      """
      parameters      \(ParameterLayout(config).count)
      step            \(Int(median * 1e3)) ms (least \(Int((seconds.min() ?? 0) * 1e3)) ms)
      pieces/s        \(Int(Double(count) / median))
      GFLOP/s         \(Int(rate * 1e-9)), \(Int(100 * rate / peak)) % of the \
      \(Int(peak * 1e-9)) GFLOP/s of the matrix product
      """)
  }
}
