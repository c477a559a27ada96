/// Loads the first `count` lanes; the others are `filler`.
///
/// With it the last, ragged vector of a row takes the same steps as the full ones.
@inline(__always)
func load(_ pointer: UnsafePointer<Float>, first count: Int, filler: Float = 0) -> Lanes {
  var value = Lanes(repeating: filler)
  for lane in 0..<count { value[lane] = pointer[lane] }
  return value
}

/// Stores the first `count` lanes.
@inline(__always)
func store(_ value: Lanes, _ pointer: UnsafeMutablePointer<Float>, first count: Int) {
  for lane in 0..<count { pointer[lane] = value[lane] }
}

/// Rows that make one piece of elementwise work, about 16 Ki elements, from the width alone.
func rowGrain(columns: Int) -> Int {
  max(1, (1 << 14) / max(columns, 1))
}
