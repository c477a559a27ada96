import Deterministic
import Host
import Tensor

/// Rows of `x` in one tile: two vectors.
private let tileRows = 16
/// Outputs of one tile: with two accumulators each they fill twelve of sixteen registers.
private let tileOutputs = 6
/// Below this M the weights are read where they lie: packing them would cost more than it saves.
let fewRows = 48
/// Below this M a tile would be mostly empty: outputs are the lanes instead.
private let rowsOfTile = 4

/// `y (+)= x wᵀ` of small M, the same bits as `gemm`.
///
/// OpenBLAS does not promise a row the same bits whatever rows are computed with it: its AVX2 kernel
/// rounds rows 6 to 11 of every twelve differently from the others, and its small-matrix kernel
/// serves some shapes and not their neighbours. Here every element is summed over
/// `MicroKernel.kBlocks`, whichever tile computes it. Decoding one token therefore equals the full
/// forward pass, and perplexity cannot depend on the batch.
func rowProduct(y: View, x: View, w: View, accumulate: Bool) {
  let rowBlocks = Partition(y.rows, near: 192, multipleOf: tileRows)
  // Few rows, as in decoding, still make enough pieces for several threads.
  let columnBlocks = Partition(
    w.rows, near: rowBlocks.count > 1 ? 384 : 128, multipleOf: 8 * tileOutputs)
  parallelFor(rowBlocks.count * columnBlocks.count) { index in
    let rows = rowBlocks[index % rowBlocks.count]
    let outputs = columnBlocks[index / rowBlocks.count]
    var done = outputs.lowerBound
    if y.rows < rowsOfTile && x.columns % 8 == 0 {
      done = dotProduct(y: y, x: x, w: w, outputs: outputs, accumulate: accumulate)
    }
    let rest = done..<outputs.upperBound
    if rest.isEmpty { return }
    let capacity = (rows.count + tileRows - 1) / tileRows * tileRows
    let k = MicroKernel.kBlocks(x.columns).longest
    Scratch.lend(carving: { $0.take(capacity * k) }) { packed in
      rowProduct(
        y: y.rows(rows).columns(rest), x: x.rows(rows), w: w.rows(rest), accumulate: accumulate,
        packed: packed)
    }
  }
}

/// One to three rows, as when one sample is decoded: the time goes into reading `w`.
///
/// - Returns: The first output that was left, because sixteen are taken together.
private func dotProduct(
  y: View, x: View, w: View, outputs: Range<Int>, accumulate: Bool
) -> Int {
  let kBlocks = MicroKernel.kBlocks(x.columns)
  let end = outputs.upperBound - outputs.count % 16
  for output in Swift.stride(from: outputs.lowerBound, to: end, by: 16) {
    // A view of these rows would be checked and counted for every sixteen of them.
    let rows = w.base + output * w.stride
    for index in 0..<kBlocks.count {
      let range = kBlocks[index]
      for row in 0..<x.rows {
        sixteenDots(
          y.base + row * y.stride + output, x.base + row * x.stride + range.lowerBound,
          rows + range.lowerBound, keyStride: w.stride, width: range.count,
          accumulate: accumulate || index > 0)
      }
    }
  }
  return end
}

/// One piece on the calling thread; `packed` holds one k-block of whole tiles, `[rows, k]`.
///
/// `x` is packed so that sixteen rows are two vectors; the rows of `w` are read where they lie, one
/// number broadcast at a time.
private func rowProduct(
  y: View, x: View, w: View, accumulate: Bool, packed: UnsafeMutablePointer<Float>
) {
  let kBlocks = MicroKernel.kBlocks(x.columns)
  for index in 0..<kBlocks.count {
    let start = kBlocks[index].lowerBound
    let k = kBlocks[index].count
    pack(x, from: start, k: k, into: packed)
    for output in Swift.stride(from: 0, to: w.rows, by: tileOutputs) {
      let weights = w.base + output * w.stride + start
      for row in Swift.stride(from: 0, to: x.rows, by: tileRows) {
        tile(
          y: y.base + row * y.stride + output, yStride: y.stride, rows: min(tileRows, x.rows - row),
          outputs: min(tileOutputs, w.rows - output), packed: packed + row * k,
          weights: weights, wStride: w.stride, k: k, accumulate: accumulate || index > 0)
      }
    }
  }
}

/// Panels of sixteen rows, `[rows / 16, k, 16]`; missing rows are zero.
private func pack(
  _ x: View, from start: Int, k: Int, into packed: UnsafeMutablePointer<Float>
) {
  let stride = x.stride
  for row in Swift.stride(from: 0, to: x.rows, by: tileRows) {
    let rows = min(tileRows, x.rows - row)
    let from = x.base + row * stride + start
    let to = packed + row * k
    if rows == tileRows {
      // All sixteen of one input together: writes are whole lines, reads are sixteen streams.
      for term in 0..<k {
        for lane in 0..<tileRows { to[term * tileRows + lane] = from[lane * stride + term] }
      }
    } else {
      to.update(repeating: 0, count: tileRows * k)
      for lane in 0..<rows {
        for term in 0..<k { to[term * tileRows + lane] = from[lane * stride + term] }
      }
    }
  }
}

@inline(__always)
private func tile(
  y: UnsafeMutablePointer<Float>, yStride: Int, rows: Int, outputs: Int,
  packed: UnsafePointer<Float>, weights: UnsafePointer<Float>, wStride: Int, k: Int,
  accumulate: Bool
) {
  // Past the last output its row is read again and the result dropped.
  let last = outputs - 1
  let w0 = weights
  let w1 = weights + min(1, last) * wStride
  let w2 = weights + min(2, last) * wStride
  let w3 = weights + min(3, last) * wStride
  let w4 = weights + min(4, last) * wStride
  let w5 = weights + min(5, last) * wStride
  var sums = TileSums()
  var x = packed
  for term in 0..<k {
    sums.add(loadWide(x), w0[term], w1[term], w2[term], w3[term], w4[term], w5[term])
    x += 16
  }
  withUnsafeTemporaryAllocation(of: Float.self, capacity: tileOutputs * tileRows) { block in
    guard let columns = block.baseAddress else { return }
    sums.write(columns, stride: tileRows)
    transpose(
      columns, into: y, yStride: yStride, rows: rows, outputs: outputs, accumulate: accumulate)
  }
}

/// Writes or adds a finished tile, `[outputs, 16]`, to its place in `y`.
@inline(__always)
private func transpose(
  _ columns: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, yStride: Int, rows: Int,
  outputs: Int, accumulate: Bool
) {
  for row in 0..<rows {
    let to = y + row * yStride
    if accumulate {
      for output in 0..<outputs { to[output] += columns[output * tileRows + row] }
    } else {
      for output in 0..<outputs { to[output] = columns[output * tileRows + row] }
    }
  }
}
