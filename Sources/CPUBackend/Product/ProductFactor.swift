import Tensor

/// One factor of a matrix product and how its memory lies.
///
/// A place is a row of the result for the left factor, a column for the right one; a step is a term
/// of the sums.
struct ProductFactor: Sendable {
  let view: View
  /// Whether a row of memory holds the steps of one place, `[places, steps]`; else it holds the
  /// places of one step, `[steps, places]`.
  let isPlaceMajor: Bool

  var places: Int { isPlaceMajor ? view.rows : view.columns }
  var steps: Int { isPlaceMajor ? view.columns : view.rows }

  static func placeMajor(_ view: View) -> ProductFactor {
    ProductFactor(view: view, isPlaceMajor: true)
  }

  static func stepMajor(_ view: View) -> ProductFactor {
    ProductFactor(view: view, isPlaceMajor: false)
  }

  /// Panels of six places for the left side of a tile, `[places / 6, steps, 6]`.
  ///
  /// Up to two floats behind the last panel are overwritten.
  func packLeft(
    places: Range<Int>, steps: Range<Int>, into panels: UnsafeMutablePointer<Float>
  ) {
    pack(places: places, steps: steps, width: ProductTile.rows, into: panels)
  }

  /// Panels of sixteen places for the right side of a tile, `[places / 16, steps, 16]`.
  func packRight(
    places: Range<Int>, steps: Range<Int>, into panels: UnsafeMutablePointer<Float>
  ) {
    pack(places: places, steps: steps, width: ProductTile.columns, into: panels)
  }

  /// Places missing in the last panel hold something: their products are dropped.
  ///
  /// Always inlined, so that the width is a constant.
  @inline(__always)
  private func pack(
    places: Range<Int>, steps: Range<Int>, width: Int, into panels: UnsafeMutablePointer<Float>
  ) {
    if isPlaceMajor {
      for place in Swift.stride(from: 0, to: places.count, by: width) {
        packRows(
          from: places.lowerBound + place, count: min(width, places.count - place), steps: steps,
          width: width, into: panels + place * steps.count)
      }
    } else {
      // Sixteen steps of all panels, then the next: whole rows are read and whole lines written.
      for first in Swift.stride(from: 0, to: steps.count, by: 16) {
        let range = first..<min(steps.count, first + 16)
        for place in Swift.stride(from: 0, to: places.count, by: width) {
          packColumns(
            from: places.lowerBound + place, count: min(width, places.count - place),
            firstStep: steps.lowerBound, range, width: width, into: panels + place * steps.count)
        }
      }
    }
  }

  /// One panel `[steps, width]` whose places are rows of memory, band by band.
  @inline(__always)
  private func packRows(
    from place: Int, count: Int, steps: Range<Int>, width: Int,
    into panel: UnsafeMutablePointer<Float>
  ) {
    var step = steps.lowerBound
    while step < steps.upperBound {
      let end = min(steps.upperBound, (step / view.bandWidth + 1) * view.bandWidth)
      transposePanel(
        view.start(ofColumn: step) + place * view.stride, stride: view.stride, last: count - 1,
        depth: end - step, width: width, into: panel + (step - steps.lowerBound) * width)
      step = end
    }
  }

  /// Steps `range`, counted from `firstStep`, of one panel `[steps, width]` whose places are columns
  /// of memory.
  @inline(__always)
  private func packColumns(
    from place: Int, count: Int, firstStep: Int, _ range: Range<Int>, width: Int,
    into panel: UnsafeMutablePointer<Float>
  ) {
    let stride = view.stride
    if view.isInOneBand(place..<place + count) {
      let from = view.start(ofColumn: place) + firstStep * stride
      for step in range {
        copyPlaces(from + step * stride, panel + step * width, count: count, width: width)
      }
      return
    }
    for column in 0..<width {
      let from = view.start(ofColumn: place + min(column, count - 1)) + firstStep * stride
      for step in range { panel[step * width + column] = from[step * stride] }
    }
  }
}

/// One panel out of rows of memory; places past `last` repeat it.
@inline(__always)
private func transposePanel(
  _ from: UnsafePointer<Float>, stride: Int, last: Int, depth: Int, width: Int,
  into panel: UnsafeMutablePointer<Float>
) {
  let whole = depth & ~7
  for group in Swift.stride(from: 0, to: width, by: 8) {
    let r0 = from + min(group, last) * stride
    let r1 = from + min(group + 1, last) * stride
    let r2 = from + min(group + 2, last) * stride
    let r3 = from + min(group + 3, last) * stride
    let r4 = from + min(group + 4, last) * stride
    let r5 = from + min(group + 5, last) * stride
    let r6 = from + min(group + 6, last) * stride
    let r7 = from + min(group + 7, last) * stride
    var to = panel + group
    for step in Swift.stride(from: 0, to: whole, by: 8) {
      let t = transposeEight(
        load(r0 + step), load(r1 + step), load(r2 + step), load(r3 + step), load(r4 + step),
        load(r5 + step), load(r6 + step), load(r7 + step))
      // With six places, two lanes of every vector are overwritten by the next.
      store(t.0, to)
      store(t.1, to + width)
      store(t.2, to + 2 * width)
      store(t.3, to + 3 * width)
      store(t.4, to + 4 * width)
      store(t.5, to + 5 * width)
      store(t.6, to + 6 * width)
      store(t.7, to + 7 * width)
      to += 8 * width
    }
  }
  for step in whole..<depth {
    for place in 0..<width { panel[step * width + place] = from[min(place, last) * stride + step] }
  }
}

/// The places of one step; those missing become zero.
@inline(__always)
private func copyPlaces(
  _ from: UnsafePointer<Float>, _ to: UnsafeMutablePointer<Float>, count: Int, width: Int
) {
  if count < width {
    for place in 0..<width { to[place] = place < count ? from[place] : 0 }
  } else if width == 16 {
    storePair(load(from), load(from + 8), to)
  } else {
    let source = UnsafeRawPointer(from)
    let target = UnsafeMutableRawPointer(to)
    target.storeBytes(of: source.loadUnaligned(as: SIMD4<Float>.self), as: SIMD4<Float>.self)
    target.storeBytes(
      of: source.loadUnaligned(fromByteOffset: 16, as: SIMD2<Float>.self), toByteOffset: 16,
      as: SIMD2<Float>.self)
  }
}
