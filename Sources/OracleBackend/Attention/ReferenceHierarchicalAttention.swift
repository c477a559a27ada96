#if canImport(Glibc)
  import Glibc
#endif

/// The dense definition of hierarchical attention in Double: every pair (i, j) by itself.
///
/// `A[i, j] = softmax_j(scale · <q~_i, mean of k over j's group> + bias[I - J])` with
/// the level of the pair the least l at which the blocks of i and j are neighbours.
package struct ReferenceHierarchicalAttention {
  package var q: [[Double]]
  package var k: [[Double]]
  package var v: [[Double]]
  package var bias: [Double]
  package var scale: Double
  package var blockSize: Int
  package var fineQuery: Bool

  package init(
    q: [[Double]], k: [[Double]], v: [[Double]], bias: [Double], scale: Double, blockSize: Int,
    fineQuery: Bool
  ) {
    self.q = q
    self.k = k
    self.v = v
    self.bias = bias
    self.scale = scale
    self.blockSize = blockSize
    self.fineQuery = fineQuery
  }

  /// How token i meets token j: level, asking token, distance in rows of that level.
  private func meeting(_ i: Int, _ j: Int) -> (level: Int, query: Int, distance: Int) {
    var level = 0
    while (i / blockSize) >> level - (j / blockSize) >> level > 1 { level += 1 }
    return (level, fineQuery ? i : (i >> level) << level, i >> level - j >> level)
  }

  /// Mean keys of every complete group, by level.
  private func meanKeys() -> [[[Double]]] {
    var levels = [k]
    while let below = levels.last, below.count >= 2 {
      var above = [[Double]]()
      for row in 0..<below.count / 2 {
        above.append(
          below[2 * row].indices.map { (below[2 * row][$0] + below[2 * row + 1][$0]) / 2 })
      }
      levels.append(above)
    }
    return levels
  }

  private func logits(_ i: Int, _ means: [[[Double]]]) -> [Double] {
    (0...i).map { j in
      let (level, query, distance) = meeting(i, j)
      let key = means[level][j >> level]
      var dot = 0.0
      for d in key.indices { dot += q[query][d] * key[d] }
      return scale * dot + bias[distance]
    }
  }

  /// Outputs and log-sum-exp of the given rows, of all by default.
  package func forward(rows: [Int]? = nil) -> (o: [[Double]], lse: [Double]) {
    let means = meanKeys()
    var o = [[Double]]()
    var lse = [Double]()
    for i in rows ?? Array(q.indices) {
      let s = logits(i, means)
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
    let means = meanKeys()
    let (o, lse) = forward()
    var dq = q.map { $0.map { _ in 0.0 } }
    var dMeans = means.map { $0.map { $0.map { _ in 0.0 } } }
    var dv = v.map { $0.map { _ in 0.0 } }
    var dBias = [Double](repeating: 0, count: bias.count)
    for i in q.indices {
      let s = logits(i, means)
      var own = 0.0
      for e in o[i].indices { own += dO[i][e] * o[i][e] }
      for j in 0...i {
        let (level, query, distance) = meeting(i, j)
        let p = exp(s[j] - lse[i])
        var dp = 0.0
        for e in v[j].indices { dp += dO[i][e] * v[j][e] }
        let ds = p * (dp - own)
        for e in v[j].indices { dv[j][e] += p * dO[i][e] }
        for d in q[i].indices {
          dq[query][d] += scale * ds * means[level][j >> level][d]
          dMeans[level][j >> level][d] += scale * ds * q[query][d]
        }
        dBias[distance] += ds
      }
    }
    for level in dMeans.indices.dropFirst().reversed() {
      for row in dMeans[level].indices {
        for d in dMeans[level][row].indices {
          dMeans[level - 1][2 * row][d] += dMeans[level][row][d] / 2
          dMeans[level - 1][2 * row + 1][d] += dMeans[level][row][d] / 2
        }
      }
    }
    return (dq, dMeans[0], dv, dBias)
  }
}

extension ReferenceHierarchicalAttention: HeadAttention {
  func attend(rows: [Int]?) -> (o: [[Double]], saved: [Double]) {
    let (o, lse) = forward(rows: rows)
    return (o, lse)
  }

  func gradients(dO: [[Double]]) -> HeadGradients {
    let (dq, dk, dv, dBias) = backward(dO: dO)
    return HeadGradients(dq: dq, dk: dk, dv: dv, dBias: dBias)
  }
}
