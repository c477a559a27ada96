import ArgumentParser
import CommandSupport
import LMData
import Model
import Storage
import Tensor
import Train

/// Writes what an independent implementation is compared with: logits, gradients, a loss curve.
///
/// `scripts/peers/check-against-pytorch.sh` reads the file and repeats every figure from the same
/// checkpoint.
struct TwinCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "twin",
    abstract: "Write logits, gradients and 50 losses of a checkpoint for a comparison.",
    discussion: """
      scripts/peers/check-against-pytorch.sh compares the file with PyTorch.

      EXAMPLE

        lm-bench twin --checkpoint checkpoints/first --data data \\
          --output twin.safetensors
      """)

  @Option(help: "Checkpoint: a run folder or one step of it.")
  var checkpoint: String

  @Option(help: "Folder of shards; the first sentences of its test split are used.")
  var data: String

  @Option(help: "File to write (safetensors).")
  var output: String

  @Option(help: "Sentences of the batch.")
  var sentences = 16

  @Option(help: "AdamW steps of the loss curve.")
  var steps = 50

  @Option(help: "Learning rate of the loss curve.")
  var rate = 3e-4

  func validate() throws {
    guard sentences >= 1, steps >= 1 else {
      throw ValidationError("--sentences and --steps must be 1 or more")
    }
  }

  func run() throws {
    let path = try CheckpointFolder.resolve(checkpoint) { Terminal.note($0) }
    let config = try ModelFiles.readConfig(directory: path)
    let parameters = Parameters(config)
    try ModelFiles.readWeights(into: parameters, config, directory: path)
    let model = try Transformer(config, parameters: parameters)
    let batch = try firstBatch()
    let logits = model.logits(ids: batch.ids, starts: batch.starts)
    var tensors: [(name: String, view: View)] = [
      ("ids", Self.row(batch.ids.map(Float.init))),
      ("targets", Self.row(batch.targets.map(Float.init))),
      ("starts", Self.row(batch.starts.map(Float.init))), ("logits", logits),
    ]
    let gradients = Parameters(config)
    let scale = 1 / Float(batch.positions)
    _ = model.accumulateGradients(
      ids: batch.ids, targets: batch.targets, starts: batch.starts, gradientScale: scale,
      dropout: nil, into: gradients)
    for slot in gradients.layout.slots {
      let copy = View(rows: slot.rows, columns: slot.columns)
      copy.copy(from: gradients.view(slot))
      tensors.append(("gradient." + slot.name, copy))
    }
    tensors.append(("losses", Self.row(lossCurve(model, batch, gradients))))
    tensors.append(("rate", Self.row([Float(rate)])))
    try write(tensors)
    print("wrote \(output): \(batch.positions) positions, \(steps) steps")
  }

  private func firstBatch() throws -> Batch {
    let dataSet = try DataSet(directory: data)
    var source = try EvaluationSource(
      dataSet: dataSet, split: "test", mode: .sentences, budget: 1 << 20)
    guard let all = try source.nextBatch() else { return Batch() }
    let count = min(sentences, all.sequences)
    let end = all.starts[count]
    return Batch(
      ids: Array(all.ids[..<end]), targets: Array(all.targets[..<end]),
      starts: Array(all.starts[...count]))
  }

  /// Mean nats per piece before each of `steps` AdamW steps on the same batch.
  private func lossCurve(_ model: Transformer, _ batch: Batch, _ gradients: Parameters) -> [Float] {
    var optimizerConfig = OptimizerConfig()
    optimizerConfig.rate = rate
    let optimizer = Optimizer(optimizerConfig, model: model.config)
    return (1...steps).map { step in
      gradients.all.fill(0)
      let nats = model.accumulateGradients(
        ids: batch.ids, targets: batch.targets, starts: batch.starts,
        gradientScale: 1 / Float(batch.positions), dropout: nil, into: gradients)
      optimizer.update(
        model.parameters, gradients: gradients, step: step, rate: rate,
        gradientNorm: Optimizer.norm(gradients, kernels: model.kernels), kernels: model.kernels)
      return Float(nats / Double(batch.positions))
    }
  }

  private static func row(_ elements: [Float]) -> View {
    View(rows: 1, columns: elements.count, elements: elements)
  }

  private func write(_ tensors: [(name: String, view: View)]) throws {
    let writer = try FileWriter(path: output)
    try writer.append(
      SafetensorsHeader.encode(
        tensors.map { ($0.name, [$0.view.rows, $0.view.columns]) }, metadata: ["format": "pt"]))
    for tensor in tensors {
      try writer.append(
        UnsafeRawBufferPointer(start: tensor.view.base, count: tensor.view.count * 4))
    }
    try writer.finish()
  }
}
