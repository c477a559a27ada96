import ArgumentParser
import Backends
import CommandSupport
import Deterministic
import Machine
import Model
import Roofline
import Storage
import Tensor

/// The matrix products of a training step alone, beside the machine's product peak.
struct ProductCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "product", abstract: "Time the matrix products of a layer and of the head.",
    discussion: """
      Every linear layer forward, and both products of its backward pass; the head
      with its softmax and cross-entropy in one.

      EXAMPLES

        lm-bench product
        lm-bench product --precision bfloat16
        lm-bench product --width 256 --hidden 704 --vocab-size 16000 --threads 1
      """)

  @Option(help: "Model width.") var width = 512
  @Option(help: "Feed-forward width.") var hidden = 1_408
  @Option(
    name: [.customLong("vocab-size"), .customLong("vocabulary")],
    help: "Tokens of the vocabulary; 0 leaves out the head.")
  var vocabulary = 32_000
  @Option(help: "Positions of the batch.") var positions = 2_048
  @Option(help: "Timed rounds; the median counts.") var rounds = 3
  @Option(help: "What products read: float32, or bfloat16.") var precision = Precision.float32
  @OptionGroup var timing: TimingOptions

  func validate() throws {
    for (name, value) in [
      ("width", width), ("hidden", hidden), ("positions", positions), ("rounds", rounds),
    ] where value < 1 {
      throw ValidationError("--\(name) is \(value), expected 1 or more")
    }
  }

  func run() throws {
    timing.apply()
    let kernels = try Backend.cpu.makeKernels(precision)
    let rates = try MatrixPeak.rates(kernels, now: timing.clock.now)
    let peak = rates.map(\.flopsPerSecond).max() ?? 0
    var stages: [ProductStage] = []
    for (name, inputs, outputs) in [
      ("QKV", width, 3 * width), ("gate and up", width, 2 * hidden), ("down", hidden, width),
    ] {
      stages += try ProductStage.linear(
        name, positions: positions, inputs: inputs, outputs: outputs, on: kernels)
    }
    if vocabulary > 0 {
      stages += try ProductStage.head(
        positions: positions, width: width, vocabulary: vocabulary, on: kernels)
    }
    var seconds = stages.map { _ in [Double]() }
    for round in 0...rounds {
      for (index, stage) in stages.enumerated() {
        let began = timing.clock.now()
        stage.run()
        if round > 0 { seconds[index].append(timing.clock.now() - began) }
      }
    }
    let figures = zip(stages, seconds).map { stage, seconds in
      ProductFigures(
        stage: stage.name, shape: stage.shape, milliseconds: median(seconds) * 1e3,
        flopsPerSecond: stage.flops / median(seconds), peakFlopsPerSecond: peak,
        precision: precision, vectors: VectorUnits.current.name,
        ruler: Dictionary(uniqueKeysWithValues: rates.map { ($0.name, $0.flopsPerSecond) }))
    }
    if timing.json {
      print(String(decoding: try JSONFile.encode(figures), as: UTF8.self), terminator: "")
    } else {
      print(
        Format.table(
          [["stage", "  shape", "  ms", "  FLOP/s", "  of the peak"]]
            + figures.map { figure in
              [
                figure.stage, "  " + figure.shape, "  " + Format.decimal(figure.milliseconds, 1),
                "  " + Format.short(figure.flopsPerSecond),
                "  " + Format.decimal(100 * figure.flopsPerSecond / peak, 0) + " %",
              ]
            }))
      print("peak            \(Format.short(peak))FLOP/s of the matrix product, the best of")
      let ours = "  ours, " + VectorUnits.current.name + ", " + precision.rawValue
      print(
        Format.table(
          rates.map {
            [$0.name == "ours" ? ours : "  " + $0.name, Format.short($0.flopsPerSecond) + "FLOP/s"]
          }))
      if let advice = OpenBLAS.advice { print("note: \(advice)") }
    }
  }
}

/// What was measured of one product.
private struct ProductFigures: Encodable {
  let stage: String
  let shape: String
  let milliseconds: Double
  let flopsPerSecond: Double
  let peakFlopsPerSecond: Double
  let precision: Precision
  /// Vector units that our kernels are compiled for.
  let vectors: String
  /// What the peak is the best of: floating-point operations per second of each product.
  let ruler: [String: Double]
}

/// A product, its name and its work.
private struct ProductStage {
  let name: String
  let shape: String
  let flops: Double
  let run: () -> Void

  private static func random(
    _ rows: Int, _ columns: Int, _ word: UInt64
  ) throws(DeviceError) -> View {
    try randomView(rows, columns, deviation: 0.02, from: CounterRandom(seed: 5, word))
  }

  /// `y = x wᵀ` and both gradients.
  static func linear(
    _ name: String, positions: Int, inputs: Int, outputs: Int, on kernels: any Kernels
  ) throws(DeviceError) -> [ProductStage] {
    let x = try random(positions, inputs, 1)
    let w = try random(outputs, inputs, 2)
    let y = try random(positions, outputs, 3)
    let dx = try kernels.makeView(rows: positions, columns: inputs)
    let dw = try kernels.makeView(rows: outputs, columns: inputs)
    let shape = "[\(positions), \(inputs)] · [\(inputs), \(outputs)]"
    let flops = 2 * Double(positions) * Double(inputs) * Double(outputs)
    return [
      ProductStage(name: name + ", forward", shape: shape, flops: flops) {
        kernels.linearForward(y: y, x: x, w: w, accumulate: false)
      },
      ProductStage(name: name + ", input gradient", shape: shape, flops: flops) {
        kernels.linearBackwardInput(dx: dx, dy: y, w: w, accumulate: false)
      },
      ProductStage(name: name + ", weight gradient", shape: shape, flops: flops) {
        kernels.linearBackwardWeight(dw: dw, dy: y, x: x)
      },
    ]
  }

  /// Logits, softmax and cross-entropy; then with both gradients.
  static func head(
    positions: Int, width: Int, vocabulary: Int, on kernels: any Kernels
  ) throws(DeviceError) -> [ProductStage] {
    let hidden = try random(positions, width, 1)
    let w = try random(vocabulary, width, 2)
    let nll = try kernels.makeView(rows: 1, columns: positions)
    let dHidden = try kernels.makeView(rows: positions, columns: width)
    let dw = try kernels.makeView(rows: vocabulary, columns: width)
    let targets = try kernels.place((0..<positions).map { Int32($0 * 7 % vocabulary) })
    let shape = "[\(positions), \(width)] · [\(width), \(vocabulary)]"
    let flops = 2 * Double(positions) * Double(width) * Double(vocabulary)
    return [
      ProductStage(name: "head, scoring", shape: shape, flops: flops) {
        kernels.crossEntropyForward(nllNats: nll, hidden: hidden, w: w, targets: targets)
      },
      ProductStage(name: "head, training", shape: shape, flops: 3 * flops) {
        kernels.crossEntropyForwardBackward(
          nllNats: nll, dHidden: dHidden, dw: dw, hidden: hidden, w: w, targets: targets,
          gradientScale: 1 / Float(positions))
      },
    ]
  }
}
