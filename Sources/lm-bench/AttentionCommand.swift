import ArgumentParser
import CommandSupport
import Model
import Storage
import Tensor

/// Time, work and decoding state of one layer's attention alone, by length.
struct AttentionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "attention", abstract: "Time attentions alone, against the length of the text.",
    discussion: """
      One layer on one sequence of random queries, keys and values. Rounds alternate between the
      attentions, and medians are printed, so that a slow moment of the machine meets all of them.

      EXAMPLES

        lm-bench attention --attention softmax hierarchical --lengths 1024 8192
        lm-bench attention --attention softmax yoso:estimate=sampled \\
          --lengths 4096 --decode --json
      """)

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Attentions as lm-train takes them (all kinds).", valueName: "kind"),
    transform: { try AttentionConfig(parsing: $0) })
  var attention: [AttentionConfig] = []

  @Option(
    parsing: .upToNextOption, help: "Positions of the sequence (256 1024 4096).")
  var lengths: [Int] = [256, 1_024, 4_096]

  @Option(help: "Attention heads.") var heads = 8
  @Option(help: "Width of a head.") var headWidth = 64
  @Option(help: "Timed rounds; the median counts.") var rounds = 5
  @Flag(help: "Also decode one position after the other up to every length.") var decode = false
  @OptionGroup var timing: TimingOptions

  func validate() throws {
    let named = [("heads", heads), ("head-width", headWidth), ("rounds", rounds)]
    for (name, value) in named + lengths.map({ ("lengths", $0) }) where value < 1 {
      throw ValidationError("--\(name) is \(value), expected 1 or more")
    }
  }

  func run() throws {
    timing.apply()
    let chosen =
      try attention.isEmpty
      ? AttentionKind.allCases.map { try AttentionConfig(parsing: $0.rawValue) } : attention
    var rows: [AttentionFigures] = []
    for length in lengths {
      let layers = try chosen.map {
        try AttentionLayer(
          $0, heads: heads, headWidth: headWidth, length: length,
          clock: timing.clock)
      }
      var forward = layers.map { _ in [Double]() }
      var training = layers.map { _ in [Double]() }
      for round in 0...rounds {
        for (index, layer) in layers.enumerated() {
          let seconds = layer.timed()
          // The first round touches memory for the first time.
          guard round > 0 else { continue }
          forward[index].append(seconds.forward)
          training[index].append(seconds.training)
        }
      }
      for (index, layer) in layers.enumerated() {
        let decoded = decode ? layer.decode() : nil
        rows.append(
          layer.figures(
            forward: median(forward[index]), training: median(training[index]),
            decoded: decoded))
      }
    }
    if timing.json {
      print(String(decoding: try JSONFile.encode(rows), as: UTF8.self), terminator: "")
    } else {
      print(Self.table(rows))
    }
  }

  private static func table(_ rows: [AttentionFigures]) -> String {
    let header = [
      "attention", "  length", "  forward", "  training", "  forward", "  training", "  rate",
      "  decoding", "  state",
    ]
    let units = [
      "", "  positions", "  µs/position", "  µs/position", "  FLOP", "  FLOP", "  FLOP/s",
      "  µs/position", "  of a stream",
    ]
    return Format.table(
      [header, units]
        + rows.map { row in
          [
            row.attention, "  \(row.length)",
            "  " + Format.decimal(row.forwardMicroseconds, 2),
            "  " + Format.decimal(row.trainingMicroseconds, 2),
            "  " + Format.short(row.forwardFlops), "  " + Format.short(row.trainingFlops),
            "  " + Format.short(row.trainingFlops / row.trainingMicroseconds * 1e6),
            "  " + (row.decodeMicroseconds.map { Format.decimal($0, 2) } ?? "-"),
            "  " + (row.stateBytes.map(Format.bytes) ?? "-"),
          ]
        })
  }
}

/// What was measured, per position of one layer.
struct AttentionFigures: Encodable {
  let attention: String
  let length: Int
  let forwardMicroseconds: Double
  /// Forward and backward.
  let trainingMicroseconds: Double
  let forwardFlops: Double
  let trainingFlops: Double
  /// Mean of the last positions.
  let decodeMicroseconds: Double?
  /// Cache of one stream at the end of the sequence.
  let stateBytes: Int?
}

/// One attention with random tensors of one sequence.
private struct AttentionLayer {
  let config: AttentionConfig
  let length: Int
  private let mechanism: any AttentionMechanism
  private let tensors: AttentionTensors
  private let gradients: AttentionGradients
  private let kernels = CPUKernels()
  private let clock: BenchClock

  init(
    _ config: AttentionConfig, heads: Int, headWidth: Int, length: Int, clock: BenchClock
  ) throws {
    self.clock = clock
    let width = heads * headWidth
    var model = ModelConfig(
      vocabularySize: 16, width: width, layers: 1, heads: heads, hidden: width)
    model.use(config)
    model.maximumLength = max(model.maximumLength, length)
    try model.validate()
    self.config = config
    self.length = length
    mechanism = model.mechanism
    func random(_ rows: Int, _ columns: Int, _ word: UInt64, deviation: Double = 1) -> View {
      let view = View(rows: rows, columns: columns)
      view.fillGaussian(deviation: deviation, from: CounterRandom(seed: 3, word))
      return view
    }
    func zeros(_ rows: Int, _ columns: Int) -> View { View(rows: rows, columns: columns) }
    // Side by side, as a block has them.
    let qkv = random(length, 3 * width, 1)
    let dQKV = zeros(length, 3 * width)
    func part(_ view: View, _ index: Int) -> View {
      view.columns(index * width..<(index + 1) * width)
    }
    let own = mechanism.ownWeights
    tensors = AttentionTensors(
      q: part(qkv, 0), k: part(qkv, 1), v: part(qkv, 2),
      bias: mechanism.biasLength.map { random(heads, $0, 2, deviation: 0.1) },
      o: zeros(length, width), saved: zeros(mechanism.savedRows, length),
      input: random(length, width, 3),
      own: own.enumerated().map {
        random($1.rows, $1.columns, 10 + UInt64($0), deviation: $1.deviation ?? 1)
      })
    gradients = AttentionGradients(
      dO: random(length, width, 4), dq: part(dQKV, 0), dk: part(dQKV, 1), dv: part(dQKV, 2),
      dBias: mechanism.biasLength.map { zeros(heads, $0) }, dInput: zeros(length, width),
      dOwn: own.map { zeros($0.rows, $0.columns) })
  }

  /// Seconds of a forward pass, and of it and a backward pass; short sequences are repeated.
  func timed() -> (forward: Double, training: Double) {
    let repeats = max(1, 2_048 / length)
    var forward = 0.0
    var training = 0.0
    for step in 0..<repeats {
      // A draw of its own each time: random attentions pay for their numbers as in training.
      let pass = AttentionPass(
        starts: [0, length], layer: 0, draw: .training(seed: UInt64(length), step: step))
      let began = clock.now()
      mechanism.forward(tensors, pass, kernels: kernels)
      let middle = clock.now()
      mechanism.backward(tensors, gradients, pass, kernels: kernels)
      forward += middle - began
      training += clock.now() - began
    }
    return (forward / Double(repeats), training / Double(repeats))
  }

  /// Seconds of one step at the end of the sequence, and the cache's bytes there.
  func decode() -> (seconds: Double, bytes: Int) {
    let cache = mechanism.makeCache(layer: 0, draw: .evaluation(seed: 0), kernels: kernels)
    let timed = min(length, 64)
    var began = clock.now()
    for position in 0..<length {
      if position == length - timed { began = clock.now() }
      let row = position..<position + 1
      cache.step(
        AttentionTensors(
          q: tensors.q.rows(row), k: tensors.k.rows(row), v: tensors.v.rows(row),
          bias: tensors.bias, o: tensors.o.rows(row), saved: tensors.saved.columns(row),
          input: tensors.input.rows(row), own: tensors.own))
    }
    return ((clock.now() - began) / Double(timed), cache.bytes)
  }

  func figures(
    forward: Double, training: Double, decoded: (seconds: Double, bytes: Int)?
  ) -> AttentionFigures {
    let work = mechanism.work(length: length)
    let positions = Double(length)
    return AttentionFigures(
      attention: "\(config)", length: length, forwardMicroseconds: forward / positions * 1e6,
      trainingMicroseconds: training / positions * 1e6, forwardFlops: work.forward / positions,
      trainingFlops: work.training / positions,
      decodeMicroseconds: decoded.map { $0.seconds * 1e6 }, stateBytes: decoded?.bytes)
  }
}
