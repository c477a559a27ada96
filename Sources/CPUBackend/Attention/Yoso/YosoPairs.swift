import Tensor

/// dq and dk of sampled weights over the colliding pairs alone.
///
///     s_ij = count_ij <dX_i, v_j>        dq_i += s_ij k_j        dk_j += s_ij q_i
///
/// Keys are taken in blocks that stay in cache. A block is sorted by code for every hash; then
/// each query collects the keys of its buckets, each once with its count. The order follows from
/// the codes alone.
struct YosoPairs {
  private static let block = 1_024
  /// Codes are cut to this many bits for the buckets; longer ones are compared in full.
  private static let bucketBits = 10

  private let shape: YosoShape
  private let all: YosoGradientRows
  private let longest: Int
  private let blockKeys: Int
  private let offsets: UnsafeMutablePointer<Int32>  // [hashes, buckets + 1]
  private let members: UnsafeMutablePointer<Int32>  // [hashes, block], keys of the block by bucket
  private let codes: UnsafeMutablePointer<Int32>  // [hashes, block], their codes
  private let queryCodes: UnsafeMutablePointer<Int32>  // [L, hashes]
  private let wide: UnsafeMutablePointer<Int32>  // [2, L]
  private let histogram: UnsafeMutablePointer<Int32>  // [2^bits]
  private let counts: UnsafeMutablePointer<Int32>  // [block], 0 between rows
  private let list: UnsafeMutablePointer<Int32>  // [block + 1]
  private let factors: UnsafeMutablePointer<Float>  // [block]

  private static func buckets(_ shape: YosoShape) -> Int { 1 << min(shape.bits, bucketBits) }

  init(_ shape: YosoShape, _ all: YosoGradientRows, longest: Int, _ scratch: inout Scratch) {
    self.shape = shape
    self.all = all
    self.longest = longest
    blockKeys = min(Self.block, longest)
    offsets = scratch.take(shape.hashes * (Self.buckets(shape) + 1), of: Int32.self)
    members = scratch.take(shape.hashes * blockKeys, of: Int32.self)
    codes = scratch.take(shape.hashes * blockKeys, of: Int32.self)
    queryCodes = scratch.take(longest * shape.hashes, of: Int32.self)
    wide = scratch.take(2 * longest, of: Int32.self)
    histogram = scratch.take(1 << shape.bits, of: Int32.self)
    counts = scratch.take(blockKeys + 1, of: Int32.self)
    list = scratch.take(blockKeys + 1, of: Int32.self)
    factors = scratch.take(blockKeys + 1)
  }

  /// Collisions inside a window, each pair as often as it collides: an upper bound of the number
  /// of pairs, close to it while collisions are rare.
  func collisions(_ source: YosoCodes, length: Int, window: YosoWindow) -> Int {
    let histogram = histogram
    let queries = wide
    let keys = wide + longest
    histogram.update(repeating: 0, count: 1 << shape.bits)
    var total = 0
    for hash in 0..<shape.hashes {
      source.widen(source.queries(hash), from: 0, count: length, into: queries)
      source.widen(source.keys(hash), from: 0, count: length, into: keys)
      var seen = 0
      for row in 0..<length {
        let end = window.upper(row)
        while seen < end {
          histogram[Int(keys[seen])] += 1
          seen += 1
        }
        total += Int(histogram[Int(queries[row])])
      }
      for row in 0..<seen { histogram[Int(keys[row])] = 0 }
    }
    return total
  }

  /// Adds the gradients of all collisions inside a window.
  func run(_ source: YosoCodes, length: Int, window: YosoWindow) {
    for hash in 0..<shape.hashes {
      source.widen(source.queries(hash), from: 0, count: length, into: wide)
      for row in 0..<length { queryCodes[row * shape.hashes + hash] = wide[row] }
    }
    counts.update(repeating: 0, count: blockKeys)
    for start in Swift.stride(from: 0, to: length, by: Self.block) {
      let count = min(Self.block, length - start)
      sort(source, start: start, count: count)
      for row in start..<length {
        let end = min(window.upper(row) - start, count)
        if end <= 0 { continue }
        let found = collect(row: row, below: Int32(end))
        weigh(row: row, start: start, count: found)
        add(row: row, start: start, count: found)
      }
    }
  }

  /// Sorts the keys of a block by bucket, for every hash; keys of a bucket stay in order.
  private func sort(_ source: YosoCodes, start: Int, count: Int) {
    let buckets = Self.buckets(shape)
    let mask = Int32(buckets - 1)
    for hash in 0..<shape.hashes {
      source.widen(source.keys(hash), from: start, count: count, into: wide)
      let ends = offsets + hash * (buckets + 1)
      ends.update(repeating: 0, count: buckets + 1)
      for key in 0..<count { ends[Int(wide[key] & mask) + 1] += 1 }
      for bucket in 0..<buckets { ends[bucket + 1] += ends[bucket] }
      // Filled from the back, the starts of the buckets come out where their ends were.
      for key in Swift.stride(from: count - 1, through: 0, by: -1) {
        let bucket = Int(wide[key] & mask) + 1
        ends[bucket] -= 1
        let place = hash * blockKeys + Int(ends[bucket])
        members[place] = Int32(truncatingIfNeeded: key)
        codes[place] = wide[key]
      }
      for bucket in 0..<buckets { ends[bucket] = ends[bucket + 1] }
      ends[buckets] = Int32(truncatingIfNeeded: count)
    }
  }

  /// Lists the keys below `end` that collide with a row and counts how often.
  private func collect(row: Int, below end: Int32) -> Int {
    let buckets = Self.buckets(shape)
    let mask = Int32(buckets - 1)
    let isCut = shape.bits > Self.bucketBits
    let own = queryCodes + row * shape.hashes
    let counts = counts
    let list = list
    var found = 0
    for hash in 0..<shape.hashes {
      let code = own[hash]
      let bounds = offsets + hash * (buckets + 1) + Int(code & mask)
      var place = Int(bounds[0])
      let last = Int(bounds[1])
      let keys = members + hash * blockKeys
      while place < last {
        let key = keys[place]
        if key >= end { break }
        if !isCut || codes[hash * blockKeys + place] == code {
          let before = counts[Int(key)]
          counts[Int(key)] = before + 1
          list[found] = key
          found += before == 0 ? 1 : 0
        }
        place += 1
      }
    }
    return found
  }

  /// `s = count · <dX, v>` of every listed key; their counts become zero again.
  private func weigh(row: Int, start: Int, count: Int) {
    let stride = all.shape.valueStride
    let gradient = all.gradients + row * stride
    let values = all.values + start * stride
    let list = list
    var index = 0
    while index + 4 <= count {
      let v0 = values + Int(list[index]) * stride
      let v1 = values + Int(list[index + 1]) * stride
      let v2 = values + Int(list[index + 2]) * stride
      let v3 = values + Int(list[index + 3]) * stride
      var s0 = Lanes.zero
      var s1 = Lanes.zero
      var s2 = Lanes.zero
      var s3 = Lanes.zero
      var column = 0
      while column < stride {
        let g = load(gradient + column)
        s0 = s0.addingProduct(g, load(v0 + column))
        s1 = s1.addingProduct(g, load(v1 + column))
        s2 = s2.addingProduct(g, load(v2 + column))
        s3 = s3.addingProduct(g, load(v3 + column))
        column += 8
      }
      factors[index] = horizontalSum(s0)
      factors[index + 1] = horizontalSum(s1)
      factors[index + 2] = horizontalSum(s2)
      factors[index + 3] = horizontalSum(s3)
      index += 4
    }
    while index < count {
      let value = values + Int(list[index]) * stride
      var sum = Lanes.zero
      var column = 0
      while column < stride {
        sum = sum.addingProduct(load(gradient + column), load(value + column))
        column += 8
      }
      factors[index] = horizontalSum(sum)
      index += 1
    }
    for index in 0..<count {
      let key = Int(list[index])
      factors[index] *= Float(counts[key])
      counts[key] = 0
    }
  }

  /// Adds the listed pairs to dq of the row and dk of the keys.
  private func add(row: Int, start: Int, count: Int) {
    let stride = all.shape.keyStride
    let query = all.queries + row * stride
    let own = all.queryGradients + row * stride
    let keys = all.keys + start * stride
    let gradients = all.keyGradients + start * stride
    let list = list
    var index = 0
    while index + 4 <= count {
      let k0 = Int(list[index]) * stride
      let k1 = Int(list[index + 1]) * stride
      let k2 = Int(list[index + 2]) * stride
      let k3 = Int(list[index + 3]) * stride
      let s0 = Lanes(repeating: factors[index])
      let s1 = Lanes(repeating: factors[index + 1])
      let s2 = Lanes(repeating: factors[index + 2])
      let s3 = Lanes(repeating: factors[index + 3])
      var column = 0
      while column < stride {
        let q = load(query + column)
        let sum = load(own + column)
          .addingProduct(s0, load(keys + k0 + column))
          .addingProduct(s1, load(keys + k1 + column))
          .addingProduct(s2, load(keys + k2 + column))
          .addingProduct(s3, load(keys + k3 + column))
        store(sum, own + column)
        fuse(gradients + k0 + column, s0, q)
        fuse(gradients + k1 + column, s1, q)
        fuse(gradients + k2 + column, s2, q)
        fuse(gradients + k3 + column, s3, q)
        column += 8
      }
      index += 4
    }
    while index < count {
      let key = Int(list[index]) * stride
      let factor = Lanes(repeating: factors[index])
      var column = 0
      while column < stride {
        store(
          load(own + column).addingProduct(factor, load(keys + key + column)), own + column)
        fuse(gradients + key + column, factor, load(query + column))
        column += 8
      }
      index += 1
    }
  }
}

@inline(__always)
private func fuse(_ sum: UnsafeMutablePointer<Float>, _ a: Lanes, _ b: Lanes) {
  store(load(sum).addingProduct(a, b), sum)
}
