/// Loads the first `count` lanes, fewer than sixteen; the others are `filler`.
///
/// With it the last, ragged vector of a row takes the same steps as the full ones.
@inline(__always)
func load(_ pointer: UnsafePointer<Float>, first count: Int, filler: Float = 0) -> WideLanes {
  var value = WideLanes(repeating: filler)
  var lane = 0
  if count >= 8 {
    value.lowHalf = load(pointer)
    lane = 8
  }
  while lane < count {
    value[lane] = pointer[lane]
    lane += 1
  }
  return value
}

/// Stores the first `count` lanes, fewer than sixteen.
@inline(__always)
func store(_ value: WideLanes, _ pointer: UnsafeMutablePointer<Float>, first count: Int) {
  var lane = 0
  if count >= 8 {
    store(value.lowHalf, pointer)
    lane = 8
  }
  while lane < count {
    pointer[lane] = value[lane]
    lane += 1
  }
}

/// Rows that make one piece of elementwise work, about 16 Ki elements, from the width alone.
func rowGrain(columns: Int) -> Int {
  max(1, (1 << 14) / max(columns, 1))
}
