import Foundation
package import Tensor

/// YOSO attention of one sequence and head, densely and in Double.
package struct ReferenceYosoAttention {
  /// Where the weights of pairs come from; codes are `[hashes][L]`.
  package enum Weights {
    case expectation
    case sampled(queries: [[Int]], keys: [[Int]])
    case hybrid(queries: [[Int]], keys: [[Int]], chunk: Int)
  }

  package var q: [[Double]]
  package var k: [[Double]]
  package var v: [[Double]]
  package let bits: Int
  package let weights: Weights
  package let slope: YosoShape.Slope

  package init(
    q: [[Double]], k: [[Double]], v: [[Double]], bits: Int, weights: Weights,
    slope: YosoShape.Slope = .lower
  ) {
    self.q = q
    self.k = k
    self.v = v
    self.bits = bits
    self.weights = weights
    self.slope = slope
  }

  private static let leastNorm = 1e-12

  private func unit(_ rows: [[Double]]) -> [[Double]] {
    rows.map { row in
      let norm = max(Self.norm(row), Self.leastNorm)
      return row.map { $0 / norm }
    }
  }

  private static func norm(_ row: [Double]) -> Double {
    row.reduce(0) { $0 + $1 * $1 }.squareRoot()
  }

  private func probability(_ cosine: Double) -> Double {
    pow(1 - acos(min(1, max(-1, cosine))) / .pi, Double(bits))
  }

  private func share(_ queries: [[Int]], _ keys: [[Int]], _ i: Int, _ j: Int) -> Double {
    var count = 0
    for hash in queries.indices where queries[hash][i] == keys[hash][j] { count += 1 }
    return Double(count) / Double(queries.count)
  }

  /// The weight of key j for query i, both of unit length.
  private func weight(_ units: ([[Double]], [[Double]]), _ i: Int, _ j: Int) -> Double {
    switch weights {
    case .expectation: probability(dot(units.0[i], units.1[j]))
    case .sampled(let queries, let keys): share(queries, keys, i, j)
    case .hybrid(let queries, let keys, let chunk):
      i / chunk == j / chunk
        ? probability(dot(units.0[i], units.1[j])) : share(queries, keys, i, j)
    }
  }

  /// `X` before and `o` after the scaling to unit length, of the given rows, of all by default.
  package func forward(rows: [Int]? = nil) -> (o: [[Double]], x: [[Double]]) {
    let units = (unit(q), unit(k))
    let x = (rows ?? Array(q.indices)).map { i in
      var sum = [Double](repeating: 0, count: v[i].count)
      for j in 0...i {
        let w = weight(units, i, j)
        if w == 0 { continue }
        for column in sum.indices { sum[column] += w * v[j][column] }
      }
      return sum
    }
    return (unit(x), x)
  }

  /// Gradients of q, k and v from that of o.
  package func backward(dO: [[Double]]) -> (dq: [[Double]], dk: [[Double]], dv: [[Double]]) {
    let dX = Self.project(dO, at: forward().x)
    let core = coreBackward(dX: dX)
    return (Self.project(core.dq, at: q), Self.project(core.dk, at: k), core.dv)
  }

  /// Gradients of unit queries, unit keys and values from that of X.
  package func coreBackward(
    dX: [[Double]]
  ) -> (dq: [[Double]], dk: [[Double]], dv: [[Double]]) {
    let units = (unit(q), unit(k))
    var dq = zeros(like: q)
    var dk = zeros(like: k)
    var dv = zeros(like: v)
    for i in q.indices {
      for j in 0...i {
        let w = weight(units, i, j)
        if w == 0 { continue }
        for column in dv[j].indices { dv[j][column] += w * dX[i][column] }
        let s = dot(dX[i], v[j]) * derivative(w, units, i, j)
        for column in dq[i].indices {
          dq[i][column] += s * units.1[j][column]
          dk[j][column] += s * units.0[i][column]
        }
      }
    }
    return (dq, dk, dv)
  }

  private func derivative(
    _ w: Double, _ units: ([[Double]], [[Double]]), _ i: Int, _ j: Int
  ) -> Double {
    if slope == .lower { return Double(bits) / 2 * w }
    let x = min(1, max(-1, dot(units.0[i], units.1[j])))
    let u = 1 - acos(x) / .pi
    let sine = max((1 - x * x).squareRoot(), 1e-3)
    return Double(bits) * pow(u, Double(bits - 1)) / (.pi * sine)
  }

  /// The sampled lower-bound gradients of unit queries and keys by tables of outer products, in
  /// time linear in the length: `P[code] = Σ k vᵀ` forward, `R[code] = Σ q dXᵀ` in reverse.
  package func tableGradients(dX: [[Double]]) -> (dq: [[Double]], dk: [[Double]]) {
    guard case .sampled(let queryCodes, let keyCodes) = weights else {
      preconditionFailure("tables hold sampled weights")
    }
    let units = (unit(q), unit(k))
    let factor = Double(bits) / 2 / Double(queryCodes.count)
    var dq = zeros(like: q)
    var dk = zeros(like: k)
    for hash in queryCodes.indices {
      var past: [Int: [[Double]]] = [:]
      for i in q.indices {
        let key = keyCodes[hash][i]
        past[key] = Self.adding(past[key], units.1[i], v[i])
        guard let table = past[queryCodes[hash][i]] else { continue }
        for c in dq[i].indices { dq[i][c] += factor * dot(table[c], dX[i]) }
      }
      var future: [Int: [[Double]]] = [:]
      for j in q.indices.reversed() {
        let query = queryCodes[hash][j]
        future[query] = Self.adding(future[query], units.0[j], dX[j])
        guard let table = future[keyCodes[hash][j]] else { continue }
        for c in dk[j].indices { dk[j][c] += factor * dot(table[c], v[j]) }
      }
    }
    return (dq, dk)
  }

  private static func adding(
    _ table: [[Double]]?, _ a: [Double], _ b: [Double]
  ) -> [[Double]] {
    a.indices.map { row in
      b.indices.map { column in (table?[row][column] ?? 0) + a[row] * b[column] }
    }
  }

  /// The gradient of rows from that of the rows at unit length; empty rows have none.
  package static func project(_ gradients: [[Double]], at rows: [[Double]]) -> [[Double]] {
    zip(gradients, rows).map { gradient, row in
      let norm = norm(row)
      if norm <= leastNorm { return gradient.map { _ in 0 } }
      let along = dot(gradient, row) / (norm * norm)
      return zip(gradient, row).map { ($0 - along * $1) / norm }
    }
  }
}

extension ReferenceYosoAttention: HeadAttention {
  /// Norms of X are saved, and codes are found again.
  func attend(rows: [Int]?) -> (o: [[Double]], saved: [Double]) {
    let (o, x) = forward(rows: rows)
    return (o, x.map(Self.norm))
  }

  func gradients(dO: [[Double]]) -> HeadGradients {
    let (dq, dk, dv) = backward(dO: dO)
    return HeadGradients(dq: dq, dk: dk, dv: dv)
  }
}
