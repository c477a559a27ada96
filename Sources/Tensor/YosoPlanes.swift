#if canImport(Glibc)
  import Glibc
#endif

extension YosoShape {
  /// Normal vectors of the hyperplanes of all heads, `[planeRows, width]`, independent and normal.
  ///
  /// Element c of bit t of hash h is number `(h · bits + t) · width + c` of the head's stream, so
  /// that fewer hashes are a prefix of more.
  ///
  /// - Parameter random: The stream of a head.
  package func drawPlanes(width: Int, random: (_ head: Int) -> CounterRandom) -> View {
    let rows = hashes * bits
    let planes = View(rows: planeRows, columns: width)
    let streams = (0..<heads).map(random)
    // Numbers come in pairs of one logarithm and one angle.
    let grain = 1 << 12
    let pieces = (rows * width + grain - 1) / grain
    parallelFor(heads * pieces) { index in
      let stream = streams[index / pieces]
      let first = index % pieces * grain
      let base = planes.base + index / pieces * rows * width
      let end = min(rows * width, first + grain)
      for number in stride(from: first, to: end, by: 2) {
        let radius = (-2 * log(1 - stream.uniform(UInt64(number)))).squareRoot()
        let angle = 2 * Double.pi * stream.uniform(UInt64(number + 1))
        base[number] = Float(radius * cos(angle))
        if number + 1 < end { base[number + 1] = Float(radius * sin(angle)) }
      }
    }
    return planes
  }
}
