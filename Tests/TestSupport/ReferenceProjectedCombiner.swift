package import Tensor

#if canImport(Glibc)
  import Glibc
#endif

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

  package init(_ problem: AttentionCase, _ projection: CombinerProjection, _ shape: CombinerShape) {
    q = Matrix(problem.q)
    k = Matrix(problem.k)
    v = Matrix(problem.v)
    input = Matrix(projection.input)
    summaryWeight = Matrix(projection.summaryWeight)
    addressWeight = Matrix(projection.addressWeight)
    gain = Matrix(projection.gain)
    bias = Matrix(projection.bias)
    starts = problem.starts
    self.shape = shape
    epsilon = Double(projection.epsilon)
  }

  /// Outputs, `[N, H·E]`.
  package func forward() -> Matrix {
    var o = Matrix(rows: v.rows, columns: v.columns)
    for sequence in 0..<starts.count - 1 { forward(starts[sequence]..<starts[sequence + 1], &o) }
    return o
  }

  private func forward(_ positions: Range<Int>, _ o: inout Matrix) {
    let m = shape.segment
    var heads = (0..<shape.heads).map { head in
      ReferenceCombinerAttention(
        q: rows(q, positions, head), k: rows(k, positions, head), v: rows(v, positions, head),
        shape: shape)
    }
    let looked = max(0, positions.count - 1) / m * m
    let addresses = (0..<looked).map { position in
      let row = position / m * m
      let region = ReferenceCombinerAttention.Region(
        members: Array(row..<row + m), query: .position(position), key: .position(position))
      return address(
        positions.lowerBound + position, heads.flatMap { $0.summary(region).value })
    }
    let keyWidth = q.columns / shape.heads
    let valueWidth = v.columns / shape.heads
    for head in heads.indices {
      let columns = head * keyWidth..<(head + 1) * keyWidth
      heads[head].addresses = addresses.map { Array($0[columns]) }
      for (position, row) in zip(positions, heads[head].forward().o) {
        for e in 0..<valueWidth { o[position, head * valueWidth + e] = row[e] }
      }
    }
  }

  private func rows(_ x: Matrix, _ positions: Range<Int>, _ head: Int) -> [[Double]] {
    let width = x.columns / shape.heads
    return positions.map { row in (0..<width).map { x[row, head * width + $0] } }
  }

  /// Address keys of all heads at a position.
  private func address(_ position: Int, _ summaries: [Double]) -> [Double] {
    let width = input.columns
    let y = (0..<width).map { c in
      summaries.indices.reduce(input[position, c]) { $0 + summaryWeight[c, $1] * summaries[$1] }
    }
    let mean = y.reduce(0, +) / Double(width)
    let variance = y.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(width)
    let normed = y.indices.map {
      (y[$0] - mean) / (variance + epsilon).squareRoot() * gain[0, $0] + bias[0, $0]
    }
    return (0..<addressWeight.rows).map { d in
      normed.indices.reduce(0) { $0 + addressWeight[d, $1] * normed[$1] }
    }
  }
}
