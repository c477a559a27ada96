import ArgumentParser
import CommandSupport
import Deterministic
import Eval
import Model
import Roofline
import Storage
import Tensor

/// Time of one token, by the length of its past, for a layer and for the whole model.
struct DecodeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "decode",
    abstract: "Time decoding token by token, against the length of the text.",
    discussion: """
      layer is one attention's step through its cache, model a step of the whole
      decoder, head and all; of the memory says how near a step comes to reading all
      weights and the cache once. forward is what the token would cost without a
      cache: a full pass over its past. streams is one step of so many samples
      together, for each of them; draw chooses a token from the logits.

      EXAMPLE

        lm-bench decode --attention softmax hierarchical --lengths 256 4096
      """)

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Attentions as lm-train takes them (all kinds).", valueName: "kind"),
    transform: { try AttentionConfig(parsing: $0) })
  var attention: [AttentionConfig] = []
  @Option(parsing: .upToNextOption, help: "Positions of the past, rising (256 1024 4096).")
  var lengths: [Int] = [256, 1_024, 4_096]
  @Option(help: "Layers.") var layers = 6
  @Option(help: "Model width.") var width = 512
  @Option(help: "Attention heads.") var heads = 8
  @Option(help: "Feed-forward width.") var hidden = 1_408
  @Option(help: "Tokens of the vocabulary.") var vocabulary = 32_000
  @Option(help: "Samples in step.") var streams = 32
  @Option(help: "Timed steps; the median counts.") var steps = 24
  @OptionGroup var headOptions: HeadOptions
  @OptionGroup var timing: TimingOptions

  func validate() throws {
    for (name, value) in [("streams", streams)] + lengths.map({ ("lengths", $0) })
    where value < 1 {
      throw ValidationError("--\(name) is \(value), expected 1 or more")
    }
    guard steps >= 2 else { throw ValidationError("--steps is \(steps), expected 2 or more") }
    guard lengths == lengths.sorted() else { throw ValidationError("--lengths must rise") }
  }

  func run() throws {
    timing.apply()
    let bandwidth = MemoryBandwidth.measure(now: timing.clock.now)
    let chosen =
      try attention.isEmpty
      ? AttentionKind.allCases.map { try AttentionConfig(parsing: $0.rawValue) } : attention
    var rows: [DecodeFigures] = []
    for attention in chosen {
      let run = try DecodeRun(self, attention: attention)
      rows += try lengths.map { try run.figures(at: $0, bandwidth: bandwidth) }
    }
    if timing.json {
      print(String(decoding: try JSONFile.encode(rows), as: UTF8.self), terminator: "")
      return
    }
    let header = [
      "attention", "positions", "layer µs", "model µs", "of the memory", "forward µs", "times",
      "streams µs", "draw µs", "state",
    ]
    print(
      Format.table(
        [header]
          + rows.map { row in
            [
              row.attention, "\(row.length)", Format.decimal(row.layerMicroseconds, 1),
              Format.decimal(row.modelMicroseconds, 0),
              Format.decimal(100 * row.memoryFraction, 0) + " %",
              Format.decimal(row.forwardMicroseconds, 0),
              Format.decimal(row.forwardMicroseconds / row.modelMicroseconds, 0),
              row.streamMicroseconds.map { Format.decimal($0, 0) } ?? "-",
              Format.decimal(row.drawMicroseconds, 0),
              Format.bytes(row.stateBytes),
            ]
          }))
    print(
      "memory          \(Format.bytes(Int(bandwidth)))/s read by \(Format.count(Parallel.threads, "thread"))"
    )
  }
}

/// What was measured at one length, in microseconds.
private struct DecodeFigures: Encodable {
  let attention: String
  let length: Int
  let layerMicroseconds: Double
  let modelMicroseconds: Double
  /// Weights and cache over the time of a step, as part of the memory's speed.
  let memoryFraction: Double
  let memoryBytesPerSecond: Double
  let forwardMicroseconds: Double
  /// One sample of a step of many; nil where their caches would take gigabytes.
  let streamMicroseconds: Double?
  /// A draw from all tokens.
  let drawMicroseconds: Double
  let stateBytes: Int
}

/// One stream that grows from length to length, through the whole model and through one layer.
private final class DecodeRun {
  private let command: DecodeCommand
  private let config: ModelConfig
  private let model: Transformer
  private let session: DecodeSession
  private let layer: AttentionTrial
  private let state: any AttentionState
  private let sampler: Sampler
  private let ids: [Int32]
  private var done = 0

  init(_ command: DecodeCommand, attention: AttentionConfig) throws {
    self.command = command
    var config = ModelConfig(
      vocabularySize: command.vocabulary, width: command.width, layers: command.layers,
      heads: command.heads, hidden: command.hidden)
    command.headOptions.apply(to: &config)
    config.use(attention)
    let past = (command.lengths.last ?? 1) + command.lengths.count * command.steps
    config.maximumLength = max(config.maximumLength, past + 1)
    try config.validate()
    self.config = config
    let parameters = try Parameters(config, on: benchKernels)
    try parameters.initialize(seed: 1)
    model = try Transformer(config, parameters: parameters, kernels: benchKernels)
    session = try DecodeSession(model)
    layer = try AttentionTrial(config, on: benchKernels, length: past)
    state = try layer.makeState()
    sampler = try Sampler(
      SamplingOptions(), seed: 1, vocabulary: command.vocabulary, excluded: [config.bosID])
    let random = CounterRandom(seed: 2)
    ids = (0..<past).map { Int32(random.bits(UInt64($0)) % UInt64(command.vocabulary)) }
  }

  /// - Parameter bandwidth: Bytes a second that memory gives.
  func figures(at asked: Int, bandwidth: Double) throws -> DecodeFigures {
    let length = max(asked, done)
    if done < length {
      _ = try session.read(Array(ids[done..<length]))
      for position in done..<length { layer.step(try layer.row(position), state) }
    }
    let past = Array(ids[..<length])
    let forward = try seconds {
      _ = try model.nllNats(ids: past, targets: past, starts: [0, length])
    }
    let bytes = session.bytes
    let streamed = bytes * command.streams <= 1 << 30 ? try streamSeconds() : nil
    // The steps that are timed lengthen the past by as many.
    let steps = length..<length + command.steps
    let rows = try steps.map { try layer.row($0) }
    let layered = median(rows.map { row in seconds { layer.step(row, state) } })
    var logits = try session.step([ids[length]])
    let stepped = try median(
      steps.dropFirst().map { step in try seconds { logits = try session.step([ids[step]]) } })
    var numbers: [Float] = []
    let drawn = try median(
      steps.map { step in
        try seconds {
          try benchKernels.read(logits.rows(0..<1), into: &numbers)
          _ = try sampler.choose(numbers, sample: 0, step: step)
        }
      })
    done = steps.upperBound
    let weights = ParameterLayout(config).count * MemoryLayout<Float>.stride
    return DecodeFigures(
      attention: "\(config.attention)", length: length, layerMicroseconds: layered * 1e6,
      modelMicroseconds: stepped * 1e6,
      memoryFraction: Double(weights + bytes) / stepped / bandwidth,
      memoryBytesPerSecond: bandwidth, forwardMicroseconds: forward * 1e6,
      streamMicroseconds: streamed.map { $0 * 1e6 }, drawMicroseconds: drawn * 1e6,
      stateBytes: bytes)
  }

  /// A step of many samples with this past, for each of them.
  private func streamSeconds() throws -> Double {
    let many = session.forked(command.streams)
    let steps = try (0..<min(command.steps, 8)).map { step in
      try seconds { _ = try many.step(Array(repeating: ids[step], count: command.streams)) }
    }
    return median(steps) / Double(command.streams)
  }

  private func seconds(_ body: () throws -> Void) rethrows -> Double {
    let began = command.timing.clock.now()
    try body()
    return command.timing.clock.now() - began
  }
}
