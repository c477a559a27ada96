import Deterministic
package import Tensor

/// One layer's attention on random queries, keys and values, to time it and to see what it needs.
package struct AttentionTrial: Sendable {
  /// Positions of all sequences.
  package let length: Int
  package let tensors: AttentionTensors
  package let gradients: AttentionGradients
  private let attention: any AttentionOperator
  private let kernels: any Kernels
  private let sequences: Sequences
  private let widths: HeadWidths
  /// Columns of keys and of values that a stream takes; a pass has those of all heads.
  private let streamColumns: Int

  /// One sequence.
  ///
  /// - Parameters:
  ///   - model: Width, heads and attention; the rest does not matter.
  ///   - kernels: Where it runs.
  ///   - attention: In place of the configuration's own attention; tests put a faulty one here.
  ///   - length: Positions of the sequence.
  /// - Throws: `ModelError` if the configuration is no model.
  package init(
    _ model: ModelConfig, on kernels: any Kernels, attention: (any AttentionOperator)? = nil,
    length: Int
  ) throws {
    try self.init(model, on: kernels, attention: attention, lengths: [length])
  }

  /// A batch of sequences.
  ///
  /// - Parameters:
  ///   - model: Width, heads and attention; the rest does not matter.
  ///   - kernels: Where it runs.
  ///   - attention: In place of the configuration's own attention.
  ///   - lengths: Positions of every sequence.
  /// - Throws: `ModelError` if the configuration is no model.
  package init(
    _ model: ModelConfig, on kernels: any Kernels, attention: (any AttentionOperator)? = nil,
    lengths: [Int]
  ) throws {
    var model = model
    model.maximumLength = max(model.maximumLength, lengths.max() ?? 0)
    try model.validate()
    let length = lengths.reduce(0, +)
    self.length = length
    self.kernels = kernels
    let mechanism = model.mechanism
    self.attention = try attention ?? mechanism.makeOperator(on: kernels)
    sequences = try Sequences(
      lengths.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1) }, on: kernels)
    widths = HeadWidths(keys: model.headWidth, values: model.headWidth)
    let (width, heads) = (model.attentionWidth, model.heads)
    streamColumns =
      mechanism.streamsAreGrouped ? model.keyValueHeads * model.headWidth : width
    func zeros(_ rows: Int, _ columns: Int, for use: NumberUse = .master) throws -> View {
      try kernels.makeView(rows: rows, columns: columns, for: use)
    }
    func random(
      _ rows: Int, _ columns: Int, _ word: UInt64, deviation: Double = 1,
      for use: NumberUse = .master
    ) throws -> View {
      let view = try zeros(rows, columns, for: use)
      try Self.draw(view, word, deviation: deviation, kernels)
      return view
    }
    // As a block has them.
    func layer(_ columns: Int, random word: UInt64? = nil) throws -> View {
      let view = try kernels.makeHeads(rows: length, columns: columns, headWidth: model.headWidth)
      if let word {
        try Self.draw(
          View(view.buffer, offset: 0, rows: 1, columns: view.buffer.count), word, kernels)
      }
      return view
    }
    let qkv = try layer(3 * width, random: 1)
    let dQKV = try layer(3 * width)
    func part(_ view: View, _ index: Int) -> View {
      view.columns(index * width..<(index + 1) * width)
    }
    let own = mechanism.ownWeights
    tensors = AttentionTensors(
      q: part(qkv, 0), k: part(qkv, 1), v: part(qkv, 2),
      bias: try mechanism.biasLength.map { try random(heads, $0, 2, deviation: 0.1) },
      o: try layer(width), saved: try zeros(mechanism.savedRows, length),
      input: mechanism.readsInput ? try random(length, model.width, 3, for: .compute) : nil,
      own: try own.enumerated().map {
        try random(
          $1.rows, $1.columns, 10 + UInt64($0), deviation: $1.deviation ?? 1,
          for: $1.rows > 1 ? .compute : .master)
      })
    gradients = AttentionGradients(
      dO: try layer(width, random: 4), dq: part(dQKV, 0), dk: part(dQKV, 1), dv: part(dQKV, 2),
      dBias: try mechanism.biasLength.map { try zeros(heads, $0) },
      dInput: mechanism.readsInput ? try zeros(length, model.width, for: .compute) : nil,
      dOwn: try own.map { try zeros($0.rows, $0.columns) })
  }

  private static func draw(
    _ view: View, _ word: UInt64, deviation: Double = 1, _ kernels: any Kernels
  ) throws(DeviceError) {
    let random = CounterRandom(seed: 3, word)
    try kernels.write(random.gaussians(0..<view.count, deviation: deviation), to: view)
  }

  /// - Parameter step: Random attentions draw numbers of their own for each, as in training.
  package func forward(step: Int) { attention.forward(tensors, pass(step)) }

  /// After `forward` of the same step.
  package func backward(step: Int) { attention.backward(tensors, gradients, pass(step)) }

  private func pass(_ step: Int) -> AttentionPass {
    AttentionPass(sequences, layer: 0, draw: .training(seed: UInt64(length), step: step))
  }

  /// Waits until what was asked for is done.
  package func wait() throws(DeviceError) { try kernels.synchronize() }

  /// A stream without a past.
  package func makeState() throws(DeviceError) -> any AttentionState {
    try attention.makeState(widths, layer: 0, draw: .evaluation(seed: 0))
  }

  /// Takes the one position of ``row(_:)`` into a stream.
  package func step(_ row: AttentionTensors, _ state: any AttentionState) {
    attention.step(row, [state])
  }

  /// The tensors of one position, for a stream: copies, a row in one piece.
  package func row(_ position: Int) throws(DeviceError) -> AttentionTensors {
    let rows = tensors.rows(position..<position + 1)
    func copy(_ view: View) throws(DeviceError) -> View {
      let copy = try kernels.makeView(rows: 1, columns: view.columns, for: .compute)
      kernels.copy(view, to: copy)
      return copy
    }
    return AttentionTensors(
      q: try copy(rows.q), k: try copy(rows.k.columns(0..<streamColumns)),
      v: try copy(rows.v.columns(0..<streamColumns)), bias: rows.bias,
      o: try copy(rows.o), saved: rows.saved, input: rows.input, own: rows.own)
  }

  /// What this attention borrows for batches of `positions`, the longest sequence of `longest`.
  ///
  /// No attention borrows more than in proportion to the length, so long sequences are not run:
  /// two shorter ones tell how it grows.
  ///
  /// - Parameters:
  ///   - model: Width, heads and attention; the rest does not matter.
  ///   - kernels: Where it runs.
  ///   - longest: Positions of the longest sequence.
  ///   - positions: Of a batch.
  ///   - isScoring: Whether there is no backward pass.
  package static func workingNeed(
    _ model: ModelConfig, on kernels: any Kernels, longest: Int, positions: Int,
    isScoring: Bool = false
  ) throws -> WorkingNeed {
    var model = model.ungrouped
    if model.mechanism.ownWeights.isEmpty, kernels.headsAreTasks {
      // A task is a head; only products of the whole width are shared.
      (model.width, model.heads) = (model.headWidth, 1)
    }
    let tried = model
    func need(_ length: Int) throws -> WorkingNeed {
      let trial = try AttentionTrial(tried, on: kernels, length: length)
      return kernels.workingNeed {
        trial.forward(step: 1)
        if !isScoring { trial.backward(step: 1) }
      }
    }
    let length = max(1, min(longest, longestRun, mostNumbers / tried.attentionWidth))
    let whole = try need(length)
    guard length > 1, positions > length else { return whole }
    let half = try need(length / 2)
    func grown(_ numbers: KeyPath<WorkingNeed, Int>, to target: Int) -> Int {
      let slope =
        Double(whole[keyPath: numbers] - half[keyPath: numbers]) / Double(length - length / 2)
      let more = min(slope * Double(max(0, target - length)), Double(mostPlanned))
      return whole[keyPath: numbers] + Int(more)
    }
    return WorkingNeed(
      task: grown(\.task, to: longest), shared: grown(\.shared, to: positions))
  }

  /// Takes a tenth of a second at the most; YOSO's tables are full by then.
  private static let longestRun = 4_096
  /// Numbers past every machine, of which a thread each adds up.
  private static let mostPlanned = 1 << 48
  /// Of one of the dozen tensors, for widths that no model has.
  private static let mostNumbers = 1 << 25
}
