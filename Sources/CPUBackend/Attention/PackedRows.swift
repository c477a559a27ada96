import Tensor

/// Copies rows of a strided matrix into packed rows, multiplied by `scale` and padded with zeros.
func packRows(
  _ destination: UnsafeMutablePointer<Float>, stride: Int, _ source: UnsafePointer<Float>,
  sourceStride: Int, rows: Int, width: Int, scale: Float = 1
) {
  for row in 0..<rows {
    let from = source + row * sourceStride
    let to = destination + row * stride
    copyRow(to, from, width: width, scale: scale)
    var column = width
    while column < stride {
      to[column] = 0
      column += 1
    }
  }
}

/// Copies a row of any width, multiplied by `scale`.
@inline(__always)
private func copyRow(
  _ to: UnsafeMutablePointer<Float>, _ from: UnsafePointer<Float>, width: Int, scale: Float
) {
  let whole = width / 8 * 8
  var column = 0
  while column < whole {
    store(load(from + column) * scale, to + column)
    column += 8
  }
  while column < width {
    to[column] = from[column] * scale
    column += 1
  }
}

/// Copies up to 16 rows into a transposed panel `[width, 16]`, multiplied by `scale`.
///
/// Lanes of missing rows become zero.
func packTransposed(
  _ destination: UnsafeMutablePointer<Float>, _ source: UnsafePointer<Float>, sourceStride: Int,
  rows: Int, width: Int, scale: Float = 1
) {
  let whole = width / 8 * 8
  for half in 0..<2 {
    let first = half * 8
    let present = min(8, rows - first)
    let to = destination + first
    if present <= 0 {
      for column in 0..<width { store(Lanes.zero, to + column * 16) }
      continue
    }
    // Missing rows repeat the last one; their lanes are cleared by the factor zero.
    var factor = Lanes(repeating: scale)
    for lane in present..<8 { factor[lane] = 0 }
    let from = source + first * sourceStride
    let last = present - 1
    let r1 = from + min(1, last) * sourceStride
    let r2 = from + min(2, last) * sourceStride
    let r3 = from + min(3, last) * sourceStride
    let r4 = from + min(4, last) * sourceStride
    let r5 = from + min(5, last) * sourceStride
    let r6 = from + min(6, last) * sourceStride
    let r7 = from + min(7, last) * sourceStride
    var column = 0
    while column < whole {
      let p = transposeEight(
        load(from + column), load(r1 + column), load(r2 + column), load(r3 + column),
        load(r4 + column), load(r5 + column), load(r6 + column), load(r7 + column))
      let out = to + column * 16
      store(p.0 * factor, out)
      store(p.1 * factor, out + 16)
      store(p.2 * factor, out + 32)
      store(p.3 * factor, out + 48)
      store(p.4 * factor, out + 64)
      store(p.5 * factor, out + 80)
      store(p.6 * factor, out + 96)
      store(p.7 * factor, out + 112)
      column += 8
    }
    while column < width {
      let values = Lanes(
        from[column], r1[column], r2[column], r3[column], r4[column], r5[column], r6[column],
        r7[column])
      store(values * factor, to + column * 16)
      column += 1
    }
  }
}

/// Copies packed rows, multiplied by `scale`, to rows of a strided matrix.
func unpackRows(
  _ destination: UnsafeMutablePointer<Float>, stride: Int, _ source: UnsafePointer<Float>,
  sourceStride: Int, rows: Int, width: Int, scale: Float
) {
  for row in 0..<rows {
    let from = source + row * sourceStride
    let to = destination + row * stride
    copyRow(to, from, width: width, scale: scale)
  }
}

/// As `unpackRows`, added to what is there.
func addUnpackedRows(
  _ destination: UnsafeMutablePointer<Float>, stride: Int, _ source: UnsafePointer<Float>,
  sourceStride: Int, rows: Int, width: Int, scale: Float
) {
  for row in 0..<rows {
    let from = source + row * sourceStride
    let to = destination + row * stride
    for column in 0..<width { to[column] += from[column] * scale }
  }
}

/// Copies `count` floats, a multiple of 16; faster than a call for the few of a row.
@inline(__always)
func copyPacked(
  _ destination: UnsafeMutablePointer<Float>, _ source: UnsafePointer<Float>, count: Int
) {
  var column = 0
  while column < count {
    store(loadWide(source + column), destination + column)
    column += 16
  }
}

/// Adds `count` floats, a multiple of 16.
@inline(__always)
func addPacked(
  _ destination: UnsafeMutablePointer<Float>, _ source: UnsafePointer<Float>, count: Int
) {
  var column = 0
  while column < count {
    store(loadWide(destination + column) + loadWide(source + column), destination + column)
    column += 16
  }
}

/// Writes `y / divisor`; adding zero turns -0 into +0, the one bit masked terms could leave.
@inline(__always)
func writeQuotient(
  _ o: UnsafeMutablePointer<Float>, _ y: UnsafePointer<Float>, divisor: Float, width: Int
) {
  let inverse = 1 / divisor
  let whole = width / 8 * 8
  var column = 0
  while column < whole {
    store(load(y + column) * inverse + 0, o + column)
    column += 8
  }
  while column < width {
    o[column] = y[column] * inverse + 0
    column += 1
  }
}
