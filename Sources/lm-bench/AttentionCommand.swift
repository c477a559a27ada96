import ArgumentParser
import CommandSupport
import Model
import Roofline
import Storage
import Tensor
import Train

/// Time, work and decoding state of one layer's attention alone, by length.
struct AttentionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "attention", abstract: "Time attentions alone, against the length of the text.",
    discussion: """
      One layer on random queries, keys and values. Rounds alternate between
      attentions and lengths, and medians are printed, so that a slow moment of the
      machine meets all of them. All are in memory at once. On a card several passes
      are asked for before it is waited for.

      EXAMPLES

        lm-bench attention --attention softmax hierarchical --lengths 1024 8192
        lm-bench attention --attention softmax yoso:estimate=sampled \\
          --lengths 4096 --decode --json
        lm-bench attention --device cuda --precision bfloat16 \\
          --attention hierarchical --lengths 16384 --batch 4
      """)

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Attentions as lm-train takes them (all kinds).", valueName: "kind"),
    transform: { try AttentionConfig(parsing: $0) })
  var attention: [AttentionConfig] = []

  @Option(
    parsing: .upToNextOption, help: "Positions of the sequence (256 1024 4096).")
  var lengths: [Int] = [256, 1_024, 4_096]

  @Option(help: "Sequences of each length that are computed together.") var batch = 1
  @Flag(help: "Every length is that of a batch of sentences, as long as those of news, up to 256.")
  var sentences = false
  @Option(help: "Attention heads.") var heads = 8
  @Option(help: "Width of a head.") var headWidth = 64
  @Option(help: "Timed rounds; the median counts.") var rounds = 5
  @Flag(help: "Also decode one position after the other up to every length.") var decode = false
  @OptionGroup var place: PlaceOptions
  @OptionGroup var timing: TimingOptions

  func validate() throws {
    let named = [
      ("heads", heads), ("head-width", headWidth), ("rounds", rounds), ("batch", batch),
    ]
    for (name, value) in named + lengths.map({ ("lengths", $0) }) where value < 1 {
      throw ValidationError("--\(name) is \(value), expected 1 or more")
    }
    guard batch == 1 || !sentences else { throw ValidationError("give --batch or --sentences") }
    guard !decode || batch == 1 && !sentences else {
      throw ValidationError("--decode is about one sequence: leave out --batch and --sentences")
    }
  }

  func run() throws {
    timing.apply()
    let chosen =
      try attention.isEmpty
      ? AttentionKind.allCases.map { try AttentionConfig(parsing: $0.rawValue) } : attention
    let kernels = try place.kernels()
    guard kernels.freeBytes != nil || place.precision == .float32 else {
      throw CommandError(
        "attention on the processor is computed in float32: leave out --precision "
          + place.precision.rawValue)
    }
    let peak = try MatrixPeak.measure(kernels, now: timing.clock.now)
    let layers = try lengths.flatMap { length in
      try chosen.map {
        try AttentionLayer(
          $0, on: kernels, heads: heads, headWidth: headWidth,
          lengths: sentences
            ? Self.sentences(of: length) : Array(repeating: length, count: batch),
          clock: timing.clock)
      }
    }
    var forward = layers.map { _ in [Double]() }
    var training = layers.map { _ in [Double]() }
    for round in 0...rounds {
      for (index, layer) in layers.enumerated() {
        let seconds = try layer.timed()
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

  /// Lengths of sentences that have so many positions together.
  private static func sentences(of positions: Int) -> [Int] {
    var (lengths, left) = ([Int](), positions)
    while left > 0 {
      let length = AssumedData.lengths[lengths.count % AssumedData.lengths.count]
      lengths.append(min(length, 256, left))
      left -= lengths[lengths.count - 1]
    }
    return lengths
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
  /// Positions of all sequences.
  let length: Int
  /// Of every sequence, where there are several.
  let sequenceLengths: [Int]?
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
