#if canImport(Glibc)
  import Glibc
#endif

/// Causal softmax attention of one sequence and one head by plain loops in Double.
///
/// Rows are arrays: `q, k [L][D]`, `v, o [L][E]`; the bias goes by distance, clipped.
package struct ReferenceSoftmaxAttention {
  package var q: [[Double]]
  package var k: [[Double]]
  package var v: [[Double]]
  package var bias: [Double]?
  package var scale: Double

  package init(
    q: [[Double]], k: [[Double]], v: [[Double]], bias: [Double]?, scale: Double
  ) {
    self.q = q
    self.k = k
    self.v = v
    self.bias = bias
    self.scale = scale
  }

  private func bucket(_ i: Int, _ j: Int) -> Int { min(i - j, (bias?.count ?? 1) - 1) }

  private func logits(_ i: Int) -> [Double] {
    (0...i).map { j in
      var dot = 0.0
      for d in q[i].indices { dot += q[i][d] * k[j][d] }
      return scale * dot + (bias.map { $0[bucket(i, j)] } ?? 0)
    }
  }

  /// Outputs and log-sum-exp of the given rows, of all by default.
  package func forward(rows: [Int]? = nil) -> (o: [[Double]], lse: [Double]) {
    var o = [[Double]]()
    var lse = [Double]()
    for i in rows ?? Array(q.indices) {
      let s = logits(i)
      let m = s.max() ?? 0
      let z = s.reduce(0) { $0 + exp($1 - m) }
      var row = [Double](repeating: 0, count: v[i].count)
      for j in 0...i {
        let p = exp(s[j] - m) / z
        for e in row.indices { row[e] += p * v[j][e] }
      }
      o.append(row)
      lse.append(m + log(z))
    }
    return (o, lse)
  }

  /// Gradients of `Σ dO · o`.
  package func backward(
    dO: [[Double]]
  ) -> (dq: [[Double]], dk: [[Double]], dv: [[Double]], dBias: [Double]) {
    let (o, lse) = forward()
    var dq = q.map { $0.map { _ in 0.0 } }
    var dk = dq
    var dv = v.map { $0.map { _ in 0.0 } }
    var dBias = [Double](repeating: 0, count: bias?.count ?? 1)
    for i in q.indices {
      let s = logits(i)
      var own = 0.0
      for e in o[i].indices { own += dO[i][e] * o[i][e] }
      for j in 0...i {
        let p = exp(s[j] - lse[i])
        var dp = 0.0
        for e in v[j].indices { dp += dO[i][e] * v[j][e] }
        let ds = p * (dp - own)
        for e in v[j].indices { dv[j][e] += p * dO[i][e] }
        for d in q[i].indices {
          dq[i][d] += scale * ds * k[j][d]
          dk[j][d] += scale * ds * q[i][d]
        }
        dBias[bucket(i, j)] += ds
      }
    }
    return (dq, dk, dv, dBias)
  }
}

extension ReferenceSoftmaxAttention: HeadAttention {
  func attend(rows: [Int]?) -> (o: [[Double]], saved: [Double]) {
    let (o, lse) = forward(rows: rows)
    return (o, lse)
  }

  func gradients(dO: [[Double]]) -> HeadGradients {
    let (dq, dk, dv, dBias) = backward(dO: dO)
    return HeadGradients(dq: dq, dk: dk, dv: dv, dBias: dBias)
  }
}
