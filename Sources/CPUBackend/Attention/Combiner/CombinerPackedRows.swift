/// Copies `count` floats, a multiple of 16; faster than a call for the few of a row.
@inline(__always)
func copyPacked(
  _ destination: UnsafeMutablePointer<Float>, _ source: UnsafePointer<Float>, count: Int
) {
  var column = 0
  while column < count {
    let (a, b) = loadPair(source + column)
    storePair(a, b, destination + column)
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
    let (a, b) = loadPair(source + column)
    let (c, d) = loadPair(destination + column)
    storePair(c + a, d + b, destination + column)
    column += 16
  }
}

/// `<a, b>` of packed rows, `count` a multiple of 16.
@inline(__always)
func rowDot(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, count: Int) -> Float {
  var first = Lanes.zero
  var second = Lanes.zero
  var column = 0
  while column < count {
    let (a0, a1) = loadPair(a + column)
    let (b0, b1) = loadPair(b + column)
    first = first.addingProduct(a0, b0)
    second = second.addingProduct(a1, b1)
    column += 16
  }
  return horizontalSum(first + second)
}

/// Writes `y / divisor` of a summary, `count` a multiple of 16, zero where it is not finite.
///
/// A row that must not see a summary gives it the weight zero, which would not hide a NaN. Scores
/// that overflow still reach the output of every row that does see them, by its direct keys.
@inline(__always)
func writeSummary(
  _ summary: UnsafeMutablePointer<Float>, _ y: UnsafePointer<Float>, divisor: Float, count: Int
) {
  let inverse = 1 / divisor
  let bound: Float = .greatestFiniteMagnitude
  var column = 0
  while column < count {
    let value = load(y + column) * inverse + 0
    let isFinite = (value .<= bound) .& (value .>= -bound)
    store(Lanes.zero.replacing(with: value, where: isFinite), summary + column)
    column += 8
  }
}
