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
    let kernels = benchKernels
    let parameters = try Parameters(config, on: kernels)
    try ModelFiles.readWeights(into: parameters, config, directory: path)
    let model = try Transformer(config, parameters: parameters, kernels: kernels)
    let batch = try firstBatch()
    let logits = try model.logits(ids: batch.ids, starts: batch.starts)
    var tensors: [(name: String, view: View)] = [
      ("ids", try Self.row(batch.ids.map(Float.init))),
      ("targets", try Self.row(batch.targets.map(Float.init))),
      ("starts", try Self.row(batch.starts.map(Float.init))), ("logits", logits),
    ]
    let gradients = try Parameters(config, on: kernels)
    let scale = 1 / Float(batch.positions)
    _ = try model.accumulateGradients(
      ids: batch.ids, targets: batch.targets, starts: batch.starts, gradientScale: scale,
      dropout: nil, into: gradients)
    for slot in gradients.layout.slots {
      let copy = try kernels.makeView(rows: slot.rows, columns: slot.columns)
      kernels.copy(gradients.view(slot), to: copy)
      tensors.append(("gradient." + slot.name, copy))
    }
    tensors.append(("losses", try Self.row(lossCurve(model, batch, gradients))))
    tensors.append(("rate", try Self.row([Float(rate)])))
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

  /// Mean nats per token before each of `steps` AdamW steps on the same batch.
  private func lossCurve(
    _ model: Transformer, _ batch: Batch, _ gradients: Parameters
  ) throws -> [Float] {
    var optimizerConfig = OptimizerConfig()
    optimizerConfig.rate = rate
    let optimizer = try Optimizer(optimizerConfig, model: model.config, on: model.kernels)
    return try (1...steps).map { step in
      model.kernels.fill(gradients.all, with: 0)
      let nats = try model.accumulateGradients(
        ids: batch.ids, targets: batch.targets, starts: batch.starts,
        gradientScale: 1 / Float(batch.positions), dropout: nil, into: gradients)
      optimizer.update(
        model.parameters, gradients: gradients, step: step, rate: rate,
        gradientNorm: try Optimizer.norm(gradients, kernels: model.kernels), kernels: model.kernels)
      model.weightsChanged()
      return Float(nats / Double(batch.positions))
    }
  }

  private static func row(_ elements: [Float]) throws(DeviceError) -> View {
    let row = try benchKernels.makeView(rows: 1, columns: elements.count)
    try benchKernels.write(elements, to: row)
    return row
  }

  private func write(_ tensors: [(name: String, view: View)]) throws {
    let writer = try FileWriter(path: output)
    try writer.append(
      SafetensorsHeader.encode(
        tensors.map { ($0.name, [$0.view.rows, $0.view.columns]) }, metadata: ["format": "pt"]))
    for tensor in tensors {
      try benchKernels.withFloats(of: tensor.view) { try writer.append($0) }
    }
    try writer.finish()
  }
}
