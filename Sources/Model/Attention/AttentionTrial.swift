package import CPUBackend
import Deterministic
import Tensor

/// One layer's attention on one sequence of random queries, keys and values, to time it and to see
/// what it needs.
package struct AttentionTrial: Sendable {
  package let length: Int
  package let mechanism: any AttentionMechanism
  package let tensors: AttentionTensors
  package let gradients: AttentionGradients
  private let kernels = CPUKernels()

  /// - Parameters:
  ///   - model: Width, heads and attention; the rest does not matter.
  ///   - length: Positions of the sequence.
  /// - Throws: `ModelError` if the configuration is no model.
  package init(_ model: ModelConfig, length: Int) throws(ModelError) {
    try self.init(model, mechanism: nil, length: length)
  }

  /// - Parameters:
  ///   - model: Width, heads and attention; the rest does not matter.
  ///   - mechanism: In place of the configuration's own attention; tests put a faulty one here.
  ///   - length: Positions of the sequence.
  package init(
    _ model: ModelConfig, mechanism: (any AttentionMechanism)?, length: Int
  ) throws(ModelError) {
    var model = model
    model.maximumLength = max(model.maximumLength, length)
    try model.validate()
    self.length = length
    let mechanism = mechanism ?? model.mechanism
    self.mechanism = mechanism
    let (width, heads) = (model.width, model.heads)
    func zeros(_ rows: Int, _ columns: Int) -> View { View(rows: rows, columns: columns) }
    func random(_ rows: Int, _ columns: Int, _ word: UInt64, deviation: Double = 1) -> View {
      let view = zeros(rows, columns)
      view.fillGaussian(deviation: deviation, from: CounterRandom(seed: 3, word))
      return view
    }
    // As a block has them.
    func bands(_ columns: Int, random word: UInt64? = nil) -> View {
      let view = View(rows: length, columns: columns, bandWidth: model.headWidth)
      if let word {
        View(view.buffer, offset: 0, rows: 1, columns: view.buffer.count)
          .fillGaussian(deviation: 1, from: CounterRandom(seed: 3, word))
      }
      return view
    }
    let qkv = bands(3 * width, random: 1)
    let dQKV = bands(3 * width)
    func part(_ view: View, _ index: Int) -> View {
      view.columns(index * width..<(index + 1) * width)
    }
    let own = mechanism.ownWeights
    tensors = AttentionTensors(
      q: part(qkv, 0), k: part(qkv, 1), v: part(qkv, 2),
      bias: mechanism.biasLength.map { random(heads, $0, 2, deviation: 0.1) },
      o: bands(width), saved: zeros(mechanism.savedRows, length),
      input: random(length, width, 3),
      own: own.enumerated().map {
        random($1.rows, $1.columns, 10 + UInt64($0), deviation: $1.deviation ?? 1)
      })
    gradients = AttentionGradients(
      dO: bands(width, random: 4), dq: part(dQKV, 0), dk: part(dQKV, 1), dv: part(dQKV, 2),
      dBias: mechanism.biasLength.map { zeros(heads, $0) }, dInput: zeros(length, width),
      dOwn: own.map { zeros($0.rows, $0.columns) })
  }

  /// - Parameter step: Random attentions draw numbers of their own for each, as in training.
  package func forward(step: Int) {
    mechanism.forward(tensors, pass(step), kernels: kernels)
  }

  /// After `forward` of the same step.
  package func backward(step: Int) {
    mechanism.backward(tensors, gradients, pass(step), kernels: kernels)
  }

  private func pass(_ step: Int) -> AttentionPass {
    AttentionPass(
      starts: [0, length], layer: 0, draw: .training(seed: UInt64(length), step: step))
  }

  /// An empty cache for one stream.
  package func makeCache() -> any AttentionCache {
    mechanism.makeCache(layer: 0, draw: .evaluation(seed: 0), kernels: kernels)
  }

  /// The tensors of one position, for a cache: copies, a row in one piece.
  package func row(_ position: Int) -> AttentionTensors {
    let row = position..<position + 1
    func copy(_ view: View) -> View {
      let copy = View(rows: 1, columns: view.columns)
      copy.copy(from: view.rows(row))
      return copy
    }
    return AttentionTensors(
      q: copy(tensors.q), k: copy(tensors.k), v: copy(tensors.v), bias: tensors.bias,
      o: copy(tensors.o), saved: tensors.saved.columns(row), input: tensors.input.rows(row),
      own: tensors.own)
  }

  /// What this attention borrows for batches of `positions`, the longest sequence of `longest`.
  ///
  /// No attention borrows more than in proportion to the length, so long sequences are not run:
  /// two shorter ones tell how it grows.
  ///
  /// - Parameter isScoring: Whether there is no backward pass.
  package static func workingMemory(
    _ model: ModelConfig, longest: Int, positions: Int, isScoring: Bool = false
  ) throws(ModelError) -> WorkingMemory.Need {
    var model = model
    if model.mechanism.ownWeights.isEmpty {
      // A task is a head; only products of the whole width are shared.
      (model.width, model.heads) = (model.headWidth, 1)
    }
    let tried = model
    func need(_ length: Int) throws(ModelError) -> WorkingMemory.Need {
      let trial = try AttentionTrial(tried, length: length)
      return WorkingMemory.need {
        trial.forward(step: 1)
        if !isScoring { trial.backward(step: 1) }
      }
    }
    let length = max(1, min(longest, longestRun, mostFloats / tried.width))
    let whole = try need(length)
    guard length > 1, positions > length else { return whole }
    let half = try need(length / 2)
    func grown(_ floats: KeyPath<WorkingMemory.Need, Int>, to target: Int) -> Int {
      let slope =
        Double(whole[keyPath: floats] - half[keyPath: floats]) / Double(length - length / 2)
      let more = min(slope * Double(max(0, target - length)), Double(mostPlanned))
      return whole[keyPath: floats] + Int(more)
    }
    return WorkingMemory.Need(
      task: grown(\.task, to: longest), shared: grown(\.shared, to: positions))
  }

  /// Takes a tenth of a second at the most; YOSO's tables are full by then.
  private static let longestRun = 4_096
  /// Floats past every machine, of which a thread each adds up.
  private static let mostPlanned = 1 << 48
  /// Of one of the dozen tensors, for widths that no model has.
  private static let mostFloats = 1 << 25
}
