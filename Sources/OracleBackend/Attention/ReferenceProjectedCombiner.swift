import Host
package import Tensor

/// Row-major Combiner attention with projected addresses, all heads, in Double.
///
///     S_h = summaries of head h        A = LN(x + Wo concat_h S_h) sliced by Wa
package struct ReferenceProjectedCombiner {
  package var q: Matrix  // [N, H·D]
  package var k: Matrix  // [N, H·D]
  package var v: Matrix  // [N, H·E]
  package var input: Matrix  // [N, C]
  package var summaryWeight: Matrix  // [C, H·E]
  package var addressWeight: Matrix  // [H·D, C]
  package var gain: Matrix  // [1, C]
  package var bias: Matrix  // [1, C]
  package let starts: [Int]
  package let shape: CombinerShape
  package let epsilon: Double

  /// - Parameters:
  ///   - qkv: Queries, keys and values.
  ///   - input: The normalised input of the layer.
  ///   - own: The weights of a `CombinerProjection`, in its order.
  ///   - starts: First position of every sequence and, last, N.
  ///   - shape: What makes the attention.
  ///   - epsilon: Of the layer norm.
  package init(
    qkv: (Matrix, Matrix, Matrix), input: Matrix, own: [Matrix], starts: [Int],
    shape: CombinerShape, epsilon: Double
  ) {
    precondition(own.count == 4, "\(own.count) weights of a projection")
    (q, k, v) = qkv
    self.input = input
    summaryWeight = own[0]
    addressWeight = own[1]
    gain = own[2]
    bias = own[3]
    self.starts = starts
    self.shape = shape
    self.epsilon = epsilon
  }

  /// Outputs, `[N, H·E]`.
  package func forward() -> Matrix { attend().o }

  /// Outputs `[N, H·E]` and log-sum-exp `[H, N]`; rows other than those asked for are zero.
  ///
  /// - Parameter lastOnly: Whether only the last row of every sequence is asked for.
  func attend(lastOnly: Bool = false) -> (o: Matrix, lse: Matrix) {
    var o = Matrix(rows: v.rows, columns: v.columns)
    var lse = Matrix(rows: shape.heads, columns: v.rows)
    let width = v.columns / shape.heads
    for positions in sequences {
      let rows = lastOnly ? [positions.count - 1] : Array(0..<positions.count)
      for (head, attention) in Parts(self, positions).heads.enumerated() {
        let result = attention.forward(rows: rows)
        for (index, row) in rows.enumerated() {
          let position = positions.lowerBound + row
          for e in 0..<width { o[position, head * width + e] = result.o[index][e] }
          lse[head, position] = result.lse[index]
        }
      }
    }
    return (o, lse)
  }

  private var sequences: [Range<Int>] {
    zip(starts, starts.dropFirst()).filter { $0 < $1 }.map { $0..<$1 }
  }

  private func rows(_ x: Matrix, _ positions: Range<Int>, _ head: Int) -> [[Double]] {
    let width = x.columns / shape.heads
    return positions.map { Array(x.row($0).dropFirst(head * width).prefix(width)) }
  }

  /// What the address of one position is made of.
  private struct Address {
    /// Of all heads, `[H·E]`.
    let summaries: [Double]
    /// Before gain and bias, `[C]`.
    let normed: [Double]
    let rstd: Double
    /// Of all heads, `[H·D]`.
    let key: [Double]

    init(_ all: ReferenceProjectedCombiner, position: Int, summaries: [Double]) {
      let width = all.input.columns
      let y = (0..<width).map { c in
        all.input[position, c] + dot(Array(all.summaryWeight.row(c)), summaries)
      }
      let mean = y.reduce(0, +) / Double(width)
      let variance = y.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(width)
      let rstd = 1 / (variance + all.epsilon).squareRoot()
      let normed = y.map { ($0 - mean) * rstd }
      let scaled = (0..<width).map { normed[$0] * all.gain[0, $0] + all.bias[0, $0] }
      self.summaries = summaries
      self.normed = normed
      self.rstd = rstd
      key = (0..<all.addressWeight.rows).map { dot(Array(all.addressWeight.row($0)), scaled) }
    }
  }

  /// One sequence: its heads, which know their addresses, and where those come from.
  private struct Parts {
    var heads: [ReferenceCombinerAttention]
    /// Of every position of a row that a later one looks at.
    let addresses: [Address]
    let segment: Int

    init(_ all: ReferenceProjectedCombiner, _ positions: Range<Int>) {
      let segment = all.shape.segment
      let plain = (0..<all.shape.heads).map { head in
        ReferenceCombinerAttention(
          q: all.rows(all.q, positions, head), k: all.rows(all.k, positions, head),
          v: all.rows(all.v, positions, head), shape: all.shape)
      }
      let looked = (positions.count - 1) / segment * segment
      addresses = (0..<looked).map { position in
        Address(
          all, position: positions.lowerBound + position,
          summaries: plain.flatMap {
            $0.summary(Self.region(of: position, segment: segment)).value
          })
      }
      heads = plain
      self.segment = segment
      let width = all.q.columns / all.shape.heads
      for head in heads.indices {
        heads[head].addresses = addresses.map {
          Array($0.key[head * width..<(head + 1) * width])
        }
      }
    }

    /// The row of a position, summarised by its query.
    static func region(of position: Int, segment: Int) -> ReferenceCombinerAttention.Region {
      let row = position / segment * segment
      return ReferenceCombinerAttention.Region(
        members: Array(row..<row + segment), query: .position(position), key: .position(position))
    }
  }

  /// Gradients of everything, each in the shape of its value.
  struct Gradients {
    var dq: Matrix
    var dk: Matrix
    var dv: Matrix
    var dInput: Matrix
    /// In the order of the weights.
    var dOwn: [Matrix]

    fileprivate init(zerosFor all: ReferenceProjectedCombiner) {
      func zeros(_ x: Matrix) -> Matrix { Matrix(rows: x.rows, columns: x.columns) }
      (dq, dk, dv, dInput) = (zeros(all.q), zeros(all.k), zeros(all.v), zeros(all.input))
      dOwn = [all.summaryWeight, all.addressWeight, all.gain, all.bias].map(zeros)
    }
  }

  /// Gradients of `Σ dO · o`.
  func backward(dO: Matrix) -> Gradients {
    var gradients = Gradients(zerosFor: self)
    for positions in sequences { backward(positions, dO, &gradients) }
    return gradients
  }

  private func backward(_ positions: Range<Int>, _ dO: Matrix, _ gradients: inout Gradients) {
    let sequence = Parts(self, positions)
    var parts = sequence.heads.enumerated().map { head, attention in
      var part = ReferenceCombinerAttention.Gradients(zerosFor: attention)
      for (row, dRow) in rows(dO, positions, head).enumerated() {
        attention.backward(row, dRow, &part)
      }
      return part
    }
    for (position, address) in sequence.addresses.enumerated() {
      let dSummaries = backward(
        address, dKey: parts.flatMap { $0.dAddresses[position] },
        position: positions.lowerBound + position, &gradients)
      let region = Parts.region(of: position, segment: sequence.segment)
      let width = v.columns / shape.heads
      for (head, attention) in sequence.heads.enumerated() {
        attention.backward(
          region, attention.summary(region), dKey: attention.k[position].map { _ in 0 },
          dValue: Array(dSummaries[head * width..<(head + 1) * width]), &parts[head])
      }
    }
    for (head, part) in parts.enumerated() {
      set(part.dq, of: head, positions, in: &gradients.dq)
      set(part.dk, of: head, positions, in: &gradients.dk)
      set(part.dv, of: head, positions, in: &gradients.dv)
    }
  }

  private func set(
    _ rows: [[Double]], of head: Int, _ positions: Range<Int>, in result: inout Matrix
  ) {
    for (position, row) in zip(positions, rows) {
      for (column, value) in row.enumerated() {
        result[position, head * row.count + column] = value
      }
    }
  }

  /// From the gradient of an address to those of the input, the weights and the summaries, of which
  /// the last are returned.
  private func backward(
    _ address: Address, dKey: [Double], position: Int, _ gradients: inout Gradients
  ) -> [Double] {
    let width = input.columns
    var dNormed = [Double](repeating: 0, count: width)
    for c in 0..<width {
      var dScaled = 0.0
      for d in dKey.indices {
        dScaled += dKey[d] * addressWeight[d, c]
        gradients.dOwn[1][d, c] += dKey[d] * (address.normed[c] * gain[0, c] + bias[0, c])
      }
      gradients.dOwn[2][0, c] += dScaled * address.normed[c]
      gradients.dOwn[3][0, c] += dScaled
      dNormed[c] = dScaled * gain[0, c]
    }
    let mean = dNormed.reduce(0, +) / Double(width)
    let along = dot(dNormed, address.normed) / Double(width)
    var dSummaries = address.summaries.map { _ in 0.0 }
    for c in 0..<width {
      let dy = address.rstd * (dNormed[c] - mean - address.normed[c] * along)
      gradients.dInput[position, c] = dy
      for e in dSummaries.indices {
        gradients.dOwn[0][c, e] += dy * address.summaries[e]
        dSummaries[e] += dy * summaryWeight[c, e]
      }
    }
    return dSummaries
  }
}
