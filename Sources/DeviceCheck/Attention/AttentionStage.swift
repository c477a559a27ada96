package import Tensor

/// Tensors and gradients of an attention on one device, filled with seeded numbers.
package struct AttentionStage {
  package let stage: Stage
  package let subject: AttentionSubject
  package let size: AttentionSize
  package let attention: any AttentionOperator
  package let tensors: AttentionTensors
  /// Keys and values as a stream takes them, a head for each group, where that is not as a pass does.
  private let shared: (k: View, v: View)?
  package let gradients: AttentionGradients
  package let pass: AttentionPass
  package static let draw = AttentionDraw.evaluation(seed: 3)
  package static let layer = 1

  /// Nil if the back end leaves the attention out.
  package init?(
    _ kernels: any Kernels, _ subject: AttentionSubject, _ size: AttentionSize
  ) throws {
    let stage = Stage(kernels)
    guard let attention = try subject.make(on: stage.kernels) else { return nil }
    let (widths, heads) = (size.widths, AttentionSubject.heads)
    let rows = size.starts.last ?? 0
    /// Three matrices as a model has them: side by side where their widths allow it.
    func three(_ seed: UInt64) throws -> [View] {
      let (keys, values) = (heads * widths.keys, heads * widths.values)
      if widths.keys == widths.values {
        let all = try stage.randomHeads(rows, 3 * keys, headWidth: widths.keys, seed: seed)
        return (0..<3).map { all.columns($0 * keys..<($0 + 1) * keys) }
      }
      return [
        try stage.randomHeads(rows, keys, headWidth: widths.keys, seed: seed),
        try stage.randomHeads(rows, keys, headWidth: widths.keys, seed: seed + 1),
        try stage.randomHeads(rows, values, headWidth: widths.values, seed: seed + 2),
      ]
    }
    func outputs(_ seed: UInt64) throws -> View {
      try stage.randomHeads(rows, heads * widths.values, headWidth: widths.values, seed: seed)
    }
    let width = AttentionSubject.inputWidth
    let shapes = [
      (width, heads * widths.values), (heads * widths.keys, width), (1, width), (1, width),
    ]
    // Matrices are read by products, gains and biases are not; gradients are all of one type.
    func own(_ seed: UInt64, _ use: (_ rows: Int) -> NumberUse) throws -> [View] {
      guard subject.needsProjection else { return [] }
      return try shapes.enumerated().map {
        try stage.random(
          $1.0, $1.1, seed: seed + UInt64($0), deviation: 0.5, for: use($1.0))
      }
    }
    func input(_ seed: UInt64) throws -> View? {
      subject.needsProjection ? try stage.random(rows, width, seed: seed) : nil
    }
    func bias(_ seed: UInt64) throws -> View? {
      try subject.biasLength.map {
        try stage.random(heads, $0, seed: seed, deviation: 0.3, for: .master)
      }
    }
    let (qkv, dQKV) = (try three(1), try three(11))
    shared =
      subject.group == 1
      ? nil
      : try {
        let narrow = try [(qkv[1], widths.keys), (qkv[2], widths.values)].map { wide, width in
          let one = try stage.randomHeads(
            rows, wide.columns / subject.group, headWidth: width, seed: 31)
          kernels.repeatHeads(y: wide, x: one, headWidth: width)
          return one
        }
        return (narrow[0], narrow[1])
      }()
    tensors = AttentionTensors(
      q: qkv[0], k: qkv[1], v: qkv[2], bias: try bias(4), o: try outputs(5),
      saved: try stage.zeros(subject.savedRows, rows, for: .master), input: try input(6),
      own: try own(7) { $0 > 1 ? .compute : .master })
    // What is overwritten and what is added to begins with something else.
    gradients = AttentionGradients(
      dO: try outputs(21), dq: dQKV[0], dk: dQKV[1], dv: dQKV[2], dBias: try bias(22),
      dInput: try input(23), dOwn: try own(24) { _ in .master })
    pass = AttentionPass(
      try Sequences(size.starts, on: stage.kernels), layer: Self.layer, draw: Self.draw)
    (self.stage, self.subject, self.size, self.attention) = (stage, subject, size, attention)
  }

  package func forward() { attention.forward(tensors, pass) }

  package func backward() { attention.backward(tensors, gradients, pass) }

  /// Everything that the passes write and that has a meaning on every device.
  package var results: Results {
    var results = [
      ("o", tensors.o), ("dq", gradients.dq), ("dk", gradients.dk), ("dv", gradients.dv),
    ]
    if subject.savesLogarithms {
      results.append(("saved", tensors.saved.rows(0..<AttentionSubject.heads)))
    }
    if let dBias = gradients.dBias { results.append(("dBias", dBias)) }
    if let dInput = gradients.dInput { results.append(("dInput", dInput)) }
    return results + gradients.dOwn.enumerated().map { ("dOwn \($0)", $1) }
  }

  /// Tensors of some rows in memory of their own, heads side by side as decoding has them.
  package func copy(rows: Range<Int>) throws -> AttentionTensors {
    let (k, v) = shared.map { ($0.k.rows(rows), $0.v.rows(rows)) } ?? (nil, nil)
    let rows = tensors.rows(rows)
    return AttentionTensors(
      q: try stage.copy(of: rows.q), k: try stage.copy(of: k ?? rows.k),
      v: try stage.copy(of: v ?? rows.v),
      bias: tensors.bias, o: try stage.copy(of: rows.o), saved: rows.saved,
      input: try rows.input.map { try stage.copy(of: $0) }, own: tensors.own)
  }

  package func makeState() throws -> any AttentionState {
    try attention.makeState(size.widths, layer: Self.layer, draw: Self.draw)
  }
}
