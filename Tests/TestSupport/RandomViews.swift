package import Deterministic
import Host
package import Tensor

/// What lies between the columns of a padded view and below its last row.
///
/// A kernel that reads it spreads it; one that writes it is found by `gapsUntouched`.
package let gapSentinel: Float = -12_345.5

/// A matrix of seeded normal numbers inside a larger buffer, strided if `padding > 0`.
///
/// The gaps, and two more rows below the last, hold `gapSentinel`.
package func randomView(
  rows: Int, columns: Int, seed: UInt64, deviation: Double = 1, padding: Int = 0
) -> View {
  let offset = padding > 0 ? 3 : 0
  let stride = columns + padding
  let buffer = Buffer(count: offset + (rows + 2) * stride)
  whole(buffer).fill(gapSentinel)
  let view = View(buffer, offset: offset, rows: rows, columns: columns, stride: stride)
  let random = CounterRandom(seed: seed)
  for row in 0..<rows {
    for column in 0..<columns {
      let index = UInt64(row * columns + column)
      view[row, column] = Float(deviation * random.gaussian(index))
    }
  }
  return view
}

/// A view of the same shape, stride and room, filled with one value.
package func filledView(rows: Int, columns: Int, value: Float, padding: Int = 0) -> View {
  let view = randomView(rows: rows, columns: columns, seed: 0, padding: padding)
  view.fill(value)
  return view
}

/// A copy with the same stride and room, gaps included.
package func duplicate(_ view: View) -> View {
  let buffer = Buffer(count: view.buffer.count)
  whole(buffer).copy(from: whole(view.buffer))
  return View(
    buffer, offset: view.offset, rows: view.rows, columns: view.columns, stride: view.stride)
}

/// A copy in bands, or nothing but `gapSentinel` if `isEmpty`.
package func inBands(_ view: View, width: Int, isEmpty: Bool = false) -> View {
  let floats = View.numbers(rows: view.rows, columns: view.columns, bandWidth: width)
  let buffer = Buffer(count: floats)
  whole(buffer).fill(gapSentinel)
  let bands = View(
    buffer, offset: 0, rows: view.rows, columns: view.columns, bandWidth: width)
  if !isEmpty { bands.copy(from: view) }
  return bands
}

/// Whether a view made by `inBands` has kept what lies between its bands.
package func gapsBetweenBandsUntouched(_ view: View) -> Bool {
  // The sentinel itself is no product of random numbers.
  let gaps = view.buffer.count - view.count
  let all = whole(view.buffer)
  return (0..<view.buffer.count).count { all[0, $0] == gapSentinel } == gaps
}

/// Whether everything in the buffer outside a view made by `randomView` is as it was.
package func gapsUntouched(_ view: View) -> Bool {
  let all = whole(view.buffer)
  for index in 0..<view.buffer.count {
    let place = index - view.offset
    let row = place / view.stride
    let inside =
      place >= 0 && row < view.rows && place % view.stride < view.columns
    if !inside, all[0, index] != gapSentinel { return false }
  }
  return true
}

/// The floats of a buffer as one row.
private func whole(_ buffer: Buffer) -> View {
  View(buffer, offset: 0, rows: 1, columns: buffer.count)
}

/// Seeded ids below `bound`.
package func randomIds(_ count: Int, below bound: Int, seed: UInt64) -> [Int32] {
  let random = CounterRandom(seed: seed)
  return (0..<count).map { Int32(random.bits(UInt64($0)) % UInt64(bound)) }
}

extension View {
  /// Fills a contiguous view with normal numbers of the given standard deviation.
  package func fillGaussian(deviation: Double, from random: CounterRandom) {
    precondition(isContiguous)
    write(random.gaussians(0..<count, deviation: deviation))
  }
}
