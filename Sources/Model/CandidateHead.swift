package import Tensor

/// The rows of the head that the loss of a training step normalises over: sampled softmax.
///
/// They are gathered once a step, so that the products of the head are those of a smaller vocabulary, and
/// their gradient is scattered to the rows that it belongs to; all others get none. Built of operations
/// that every back end has.
package final class CandidateHead {
  private let kernels: any Kernels
  /// Rows in the order of ``ids``, of the type that weights are kept in.
  private let gathered: View  // [capacity, C]
  /// The same as products read them; the same memory on a device of one type.
  private let rounded: View  // [capacity, C]
  private let gradients: View  // [capacity, C]
  private var ids = Indices([])
  /// Row of every token among the candidates; -1 for the others.
  private var rows: [Int32]

  /// - Parameters:
  ///   - config: The model whose head it is.
  ///   - capacity: Candidates at most.
  ///   - kernels: Where it is trained.
  /// - Throws: `DeviceError.outOfMemory` if the device has no memory for them.
  package init(
    _ config: ModelConfig, capacity: Int, on kernels: any Kernels
  ) throws(DeviceError) {
    self.kernels = kernels
    gathered = try kernels.makeView(rows: capacity, columns: config.width)
    rounded =
      kernels.hasTwoTypes
      ? try kernels.makeView(rows: capacity, columns: config.width, for: .compute) : gathered
    gradients = try kernels.makeView(rows: capacity, columns: config.width)
    rows = Array(repeating: -1, count: config.vocabularySize)
  }

  /// Candidates of the step.
  package var count: Int { ids.numbers.count }

  /// Bytes that it takes.
  package static func bytes(
    _ config: ModelConfig, capacity: Int, on device: any Device
  ) -> Int {
    let count = capacity * config.width
    return 2 * device.bytes(count: count)
      + (device.hasTwoTypes ? device.bytes(count: count, for: .compute) : 0)
  }

  /// Takes the rows of a step.
  ///
  /// - Parameters:
  ///   - ids: Tokens, each once; every target of the step is among them.
  ///   - parameters: The weights as they are before the step.
  package func gather(_ ids: [Int32], from parameters: Parameters) throws(DeviceError) {
    precondition(ids.count <= gathered.rows, "\(ids.count) candidates in \(gathered.rows) rows")
    for id in self.ids.numbers { rows[Int(id)] = -1 }
    for (row, id) in ids.enumerated() { rows[Int(id)] = Int32(row) }
    self.ids = try kernels.place(ids)
    let taken = gathered.rows(0..<ids.count)
    kernels.embeddingForward(y: taken, ids: self.ids, table: parameters.head)
    if kernels.hasTwoTypes { kernels.copy(taken, to: rounded.rows(0..<ids.count)) }
  }

  /// Cross-entropy over the candidates, forward and backward.
  ///
  /// - Parameters:
  ///   - nllNats: Negative log-probabilities among the candidates, `[1, N]`.
  ///   - dHidden: Gradient of the hidden states, `[N, C]`.
  ///   - dHead: Gradient of the whole head, `[V, C]`, accumulated.
  ///   - hidden: `[N, C]`.
  ///   - targets: Tokens, `[N]`.
  ///   - gradientScale: Multiplies the gradients.
  func crossEntropy(
    nllNats: View, dHidden: View, dHead: View, hidden: View, targets: [Int32],
    gradientScale: Float
  ) throws(DeviceError) {
    let sums = gradients.rows(0..<ids.count)
    kernels.fill(sums, with: 0)
    kernels.crossEntropyForwardBackward(
      nllNats: nllNats, dHidden: dHidden, dw: sums, hidden: hidden,
      w: rounded.rows(0..<ids.count),
      targets: try kernels.place(targets.map { rows[Int($0)] }), gradientScale: gradientScale)
    kernels.embeddingBackward(dTable: dHead, dy: sums, ids: ids)
  }
}
