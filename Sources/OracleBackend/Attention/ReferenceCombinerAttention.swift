package import Tensor

#if canImport(Glibc)
  import Glibc
#endif

/// The definition of Combiner attention in Double: every query enumerates its direct keys and its
/// regions by itself.
///
///     o_i = Σ_j w_ij v_j + Σ_r u_ir vbar_r,   [w_i, u_i] one softmax over direct and pooled keys
package struct ReferenceCombinerAttention {
  package var q: [[Double]]
  package var k: [[Double]]
  package var v: [[Double]]
  package var shape: CombinerShape
  /// Address keys by position, for `address == .proj`.
  package var addresses: [[Double]] = []

  package init(q: [[Double]], k: [[Double]], v: [[Double]], shape: CombinerShape) {
    self.q = q
    self.k = k
    self.v = v
    self.shape = shape
  }

  /// Where the query or the key that stands for a region comes from.
  package enum Source: Equatable {
    case pool
    case position(Int)
    /// The keys weighted like the values.
    case weighted
    case address(Int)
  }

  package struct Region {
    package var members: [Int]
    package var query = Source.pool
    package var key = Source.pool
  }

  /// Direct keys and regions of query `i`.
  package func plan(_ i: Int) -> (direct: [Int], regions: [Region]) {
    let m = shape.segment
    let (row, column) = (i / m, i % m)
    let own = Array(row * m...i)
    switch shape.pattern {
    case .logsparse:
      var regions = [Region]()
      var high = i
      while high > 0 {
        let low = high & (high - 1)
        regions.append(Region(members: Array(low..<high)))
        high = low
      }
      return ([i], regions)
    case .fixed:
      return (own, (0..<row).map { Region(members: Array($0 * m..<($0 + 1) * m)) })
    case .rowmajor:
      return (
        own,
        (0..<row).map { t in
          let asking = t * m + column
          let key: Source =
            switch shape.address {
            case .wsum: .weighted
            case .none: .position(asking)
            case .proj: .address(asking)
            }
          return Region(
            members: Array(t * m..<(t + 1) * m), query: .position(asking), key: key)
        }
      )
    case .vertical:
      return ((0..<row).map { $0 * m + column } + own, columns(row, except: column))
    case .mixture:
      var regions = columns(row, except: column)
      for t in 0..<row {
        for part in [t * m..<t * m + column, t * m + column + 1..<(t + 1) * m]
        where !part.isEmpty {
          regions.append(Region(members: Array(part)))
        }
      }
      return ((0..<row).map { $0 * m + column } + own, regions)
    }
  }

  /// Every other column, above `row`.
  private func columns(_ row: Int, except column: Int) -> [Region] {
    if row == 0 { return [] }
    return (0..<shape.segment).filter { $0 != column }.map { other in
      Region(members: (0..<row).map { $0 * shape.segment + other })
    }
  }

  private func pool(_ x: [[Double]], _ members: [Int]) -> [Double] {
    var result = x[members[0]]
    for j in members.dropFirst() {
      for d in result.indices {
        result[d] = shape.pooling == .max ? max(result[d], x[j][d]) : result[d] + x[j][d]
      }
    }
    return shape.pooling == .max ? result : result.map { $0 / Double(members.count) }
  }

  private func unpool(
    _ gradient: [Double], _ x: [[Double]], _ members: [Int], into result: inout [[Double]]
  ) {
    for d in gradient.indices {
      switch shape.pooling {
      case .max:
        var winner = members[0]
        for j in members where x[j][d] > x[winner][d] { winner = j }
        result[winner][d] += gradient[d]
      case .mean:
        for j in members { result[j][d] += gradient[d] / Double(members.count) }
      }
    }
  }

  /// Summary of a region: its query, the weights of its members, its key and its value.
  package struct Summary {
    package var query: [Double]
    package var weights: [Double]
    package var key: [Double]
    package var value: [Double]
  }

  package func summary(_ region: Region) -> Summary {
    let query: [Double] =
      if case .position(let j) = region.query { q[j] } else { pool(q, region.members) }
    let weights = softmax(region.members.map { Double(shape.scale) * dot(query, k[$0]) })
    let key: [Double] =
      switch region.key {
      case .pool: pool(k, region.members)
      case .position(let j): k[j]
      case .weighted: mean(k, region.members, weights)
      case .address(let j): addresses[j]
      }
    return Summary(
      query: query, weights: weights, key: key, value: mean(v, region.members, weights))
  }

  private func mean(_ x: [[Double]], _ members: [Int], _ weights: [Double]) -> [Double] {
    var result = [Double](repeating: 0, count: x[0].count)
    for (j, weight) in zip(members, weights) {
      for e in result.indices { result[e] += weight * x[j][e] }
    }
    return result
  }

  /// One query: its summaries, the softmax over direct and pooled keys, and the output.
  private func row(
    _ i: Int, _ direct: [Int], _ regions: [Region]
  ) -> (summaries: [Summary], weights: [Double], lse: Double, o: [Double]) {
    let summaries = regions.map(summary)
    let keys = direct.map { k[$0] } + summaries.map(\.key)
    let logits = keys.map { Double(shape.scale) * dot(q[i], $0) }
    let top = logits.max() ?? 0
    let weights = softmax(logits)
    var o = [Double](repeating: 0, count: v[i].count)
    for (weight, value) in zip(weights, direct.map { v[$0] } + summaries.map(\.value)) {
      for e in o.indices { o[e] += weight * value[e] }
    }
    return (summaries, weights, top + log(logits.reduce(0) { $0 + exp($1 - top) }), o)
  }

  /// Outputs and log-sum-exp of the given rows, of all by default.
  package func forward(rows: [Int]? = nil) -> (o: [[Double]], lse: [Double]) {
    let results = (rows ?? Array(q.indices)).map { i in
      let (direct, regions) = plan(i)
      return row(i, direct, regions)
    }
    return (results.map(\.o), results.map(\.lse))
  }

  /// Gradients of `Σ dO · o` over the given rows, over all by default.
  package func backward(
    dO: [[Double]], rows: [Int]? = nil
  ) -> (dq: [[Double]], dk: [[Double]], dv: [[Double]], dAddresses: [[Double]]) {
    var gradients = Gradients(zerosFor: self)
    for i in rows ?? Array(q.indices) { backward(i, dO[i], &gradients) }
    return (gradients.dq, gradients.dk, gradients.dv, gradients.dAddresses)
  }

  struct Gradients {
    var dq: [[Double]]
    var dk: [[Double]]
    var dv: [[Double]]
    var dAddresses: [[Double]]

    init(zerosFor attention: ReferenceCombinerAttention) {
      dq = zeros(like: attention.q)
      dk = zeros(like: attention.k)
      dv = zeros(like: attention.v)
      dAddresses = zeros(like: attention.addresses)
    }
  }

  /// Adds what row `i` of the output gives.
  func backward(_ i: Int, _ dO: [Double], _ gradients: inout Gradients) {
    let (direct, regions) = plan(i)
    let (summaries, weights, _, o) = row(i, direct, regions)
    let own = dot(dO, o)
    let scale = Double(shape.scale)
    for (j, weight) in zip(direct, weights) {
      let slope = weight * (dot(dO, v[j]) - own) * scale
      add(slope, k[j], to: &gradients.dq[i])
      add(slope, q[i], to: &gradients.dk[j])
      add(weight, dO, to: &gradients.dv[j])
    }
    for (number, region) in regions.enumerated() {
      let summary = summaries[number]
      let weight = weights[direct.count + number]
      let slope = weight * (dot(dO, summary.value) - own) * scale
      add(slope, summary.key, to: &gradients.dq[i])
      backward(
        region, summary, dKey: q[i].map { slope * $0 }, dValue: dO.map { weight * $0 },
        &gradients)
    }
  }

  /// Adds what the summary of a region gives, from the gradients of its key and its value.
  func backward(
    _ region: Region, _ summary: Summary, dKey: [Double], dValue: [Double],
    _ gradients: inout Gradients
  ) {
    var dWeights = region.members.map { dot(dValue, v[$0]) }
    switch region.key {
    case .pool: unpool(dKey, k, region.members, into: &gradients.dk)
    case .position(let j): add(1, dKey, to: &gradients.dk[j])
    case .address(let j): add(1, dKey, to: &gradients.dAddresses[j])
    case .weighted:
      for (index, j) in region.members.enumerated() {
        dWeights[index] += dot(dKey, k[j])
        add(summary.weights[index], dKey, to: &gradients.dk[j])
      }
    }
    let mean = dot(dWeights, summary.weights)
    var dQuery = summary.query.map { _ in 0.0 }
    for (index, j) in region.members.enumerated() {
      let weight = summary.weights[index]
      let slope = weight * (dWeights[index] - mean) * Double(shape.scale)
      add(slope, k[j], to: &dQuery)
      add(slope, summary.query, to: &gradients.dk[j])
      add(weight, dValue, to: &gradients.dv[j])
    }
    if case .position(let j) = region.query {
      add(1, dQuery, to: &gradients.dq[j])
    } else {
      unpool(dQuery, q, region.members, into: &gradients.dq)
    }
  }
}

extension ReferenceCombinerAttention: HeadAttention {
  func attend(rows: [Int]?) -> (o: [[Double]], saved: [Double]) {
    let (o, lse) = forward(rows: rows)
    return (o, lse)
  }

  func gradients(dO: [[Double]]) -> HeadGradients {
    let (dq, dk, dv, _) = backward(dO: dO)
    return HeadGradients(dq: dq, dk: dk, dv: dv)
  }
}

private func softmax(_ logits: [Double]) -> [Double] {
  let top = logits.max() ?? 0
  let weights = logits.map { exp($0 - top) }
  let sum = weights.reduce(0, +)
  return weights.map { $0 / sum }
}
