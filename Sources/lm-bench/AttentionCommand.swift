import ArgumentParser
import CommandSupport
import Model
import Roofline
import Storage
import Tensor

/// Time, work and decoding state of one layer's attention alone, by length.
struct AttentionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "attention", abstract: "Time attentions alone, against the length of the text.",
    discussion: """
      One layer on one sequence of random queries, keys and values. Rounds alternate between
      attentions and lengths, and medians are printed, so that a slow moment of the machine meets
      all of them. All are in memory at once.

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
    let peak = try MatrixPeak.measure(benchKernels, now: timing.clock.now)
    let layers = try lengths.flatMap { length in
      try chosen.map {
        try AttentionLayer(
          $0, heads: heads, headWidth: headWidth, length: length, clock: timing.clock)
      }
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
    let rows = try layers.enumerated().map { index, layer in
      layer.figures(
        forward: median(forward[index]), training: median(training[index]),
        decoded: decode ? try layer.decode() : nil, peak: peak)
    }
    if timing.json {
      print(String(decoding: try JSONFile.encode(rows), as: UTF8.self), terminator: "")
    } else {
      print(Self.table(rows))
      print("peak            \(Format.short(peak))FLOP/s of the matrix product")
    }
  }

  private static func table(_ rows: [AttentionFigures]) -> String {
    let header = [
      "attention", "  length", "  forward", "  training", "  forward", "  training", "  training",
      "  decoding", "  state",
    ]
    let units = [
      "", "  positions", "  µs/position", "  µs/position", "  FLOP", "  FLOP", "  of the peak",
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
            "  " + Format.decimal(100 * row.trainingPeakFraction, 0) + " %",
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
  /// Share of the matrix-product peak measured in the same process.
  let trainingPeakFraction: Double
  let peakFlopsPerSecond: Double
  /// Mean of the last positions.
  let decodeMicroseconds: Double?
  /// What one stream remembers at the end of the sequence.
  let stateBytes: Int?
}

/// One attention with random tensors of one sequence.
private struct AttentionLayer {
  private let config: AttentionConfig
  private let trial: AttentionTrial
  private let work: AttentionWork
  private let clock: BenchClock

  init(
    _ config: AttentionConfig, heads: Int, headWidth: Int, length: Int, clock: BenchClock
  ) throws {
    self.config = config
    self.clock = clock
    trial = try AttentionTrial(
      ModelConfig(oneLayerOf: config, heads: heads, headWidth: headWidth), on: benchKernels,
      length: length)
    work = ModelConfig(oneLayerOf: config, heads: heads, headWidth: headWidth).mechanism
      .work(length: length)
  }

  /// Seconds of a forward pass, and of it and a backward pass.
  ///
  /// Short sequences are repeated, after a pass that finds others' tensors in the caches and does
  /// not count.
  func timed() -> (forward: Double, training: Double) {
    let repeats = max(1, 2_048 / trial.length)
    var forward = 0.0
    var training = 0.0
    let warmup = repeats > 1 ? 1 : 0
    for step in 0..<repeats + warmup {
      let began = clock.now()
      trial.forward(step: step)
      let middle = clock.now()
      trial.backward(step: step)
      guard step >= warmup else { continue }
      forward += middle - began
      training += clock.now() - began
    }
    return (forward / Double(repeats), training / Double(repeats))
  }

  /// Seconds of one step at the end of the sequence, and the bytes of the stream there.
  func decode() throws -> (seconds: Double, bytes: Int) {
    let state = try trial.makeState()
    let past = trial.length - min(trial.length, 64)
    for position in 0..<past { trial.step(try trial.row(position), state) }
    let timed = try (past..<trial.length).map { try trial.row($0) }
    let began = clock.now()
    for row in timed { trial.step(row, state) }
    return ((clock.now() - began) / Double(timed.count), state.bytes)
  }

  func figures(
    forward: Double, training: Double, decoded: (seconds: Double, bytes: Int)?, peak: Double
  ) -> AttentionFigures {
    let positions = Double(trial.length)
    return AttentionFigures(
      attention: "\(config)", length: trial.length,
      forwardMicroseconds: forward / positions * 1e6,
      trainingMicroseconds: training / positions * 1e6, forwardFlops: work.forward / positions,
      trainingFlops: work.training / positions,
      trainingPeakFraction: work.training / training / peak, peakFlopsPerSecond: peak,
      decodeMicroseconds: decoded.map { $0.seconds * 1e6 }, stateBytes: decoded?.bytes)
  }
}

extension ModelConfig {
  /// The smallest model around one layer of an attention.
  init(oneLayerOf attention: AttentionConfig, heads: Int, headWidth: Int) {
    self.init(
      vocabularySize: 16, width: heads * headWidth, layers: 1, heads: heads,
      hidden: heads * headWidth)
    use(attention)
  }
}
