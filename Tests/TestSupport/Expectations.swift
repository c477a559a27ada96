import Deterministic
import Host
package import OracleBackend
package import Tensor
package import Testing

/// Records an issue unless `|actual - expected| <= absolute + relative · |expected|` everywhere.
package func expectClose(
  _ actual: View, _ expected: Matrix, relative: Double = 1e-5, absolute: Double = 1e-5,
  _ what: String = "", sourceLocation: SourceLocation = #_sourceLocation
) {
  guard actual.rows == expected.rows, actual.columns == expected.columns else {
    Issue.record(
      """
      \(what): shape [\(actual.rows), \(actual.columns)], \
      expected [\(expected.rows), \(expected.columns)]
      """, sourceLocation: sourceLocation)
    return
  }
  let elements = actual.elements
  var wrong = 0
  var worst = (excess: 0.0, index: 0)
  for index in elements.indices {
    let error = abs(Double(elements[index]) - expected.values[index])
    let allowed = absolute + relative * abs(expected.values[index])
    if !(error <= allowed) {
      wrong += 1
      let excess = error.isNaN ? .infinity : error / allowed
      if excess > worst.excess { worst = (excess, index) }
    }
  }
  if wrong > 0 {
    let row = worst.index / max(1, actual.columns)
    let column = worst.index % max(1, actual.columns)
    Issue.record(
      """
      \(what): \(wrong) of \(elements.count) elements differ, most at [\(row), \(column)]: \
      \(elements[worst.index]), expected \(expected.values[worst.index])
      """, sourceLocation: sourceLocation)
  }
}

/// Records an issue unless two views hold the same bits; NaN equals itself, 0 is not -0.
package func expectSameBits(
  _ a: View, _ b: View, _ what: String = "", sourceLocation: SourceLocation = #_sourceLocation
) {
  guard a.rows == b.rows, a.columns == b.columns else {
    Issue.record(
      "\(what): shapes [\(a.rows), \(a.columns)] and [\(b.rows), \(b.columns)]",
      sourceLocation: sourceLocation)
    return
  }
  let left = a.elements
  let right = b.elements
  let different = left.indices.filter { left[$0].bitPattern != right[$0].bitPattern }
  if let first = different.first {
    Issue.record(
      """
      \(what): \(different.count) of \(left.count) elements differ in bits, first at \
      [\(first / a.columns), \(first % a.columns)]: \(left[first]) and \(right[first])
      """, sourceLocation: sourceLocation)
  }
}

/// Compares a gradient with central differences of a twin, all in Double.
///
/// The twin's output is projected on `upstream`; every element of `input`, or a seeded choice of
/// `samples` of them, is moved both ways. The error is measured against the largest gradient.
///
/// - Parameters:
///   - gradient: What the fast backward pass left, same shape as `input`.
///   - twin: The forward function of this one input, the others held.
package func expectGradient(
  _ gradient: View, at input: Matrix, upstream: Matrix, relative: Double = 2e-5,
  samples: Int = 150, _ what: String = "", sourceLocation: SourceLocation = #_sourceLocation,
  twin: (Matrix) -> Matrix
) {
  guard gradient.rows == input.rows, gradient.columns == input.columns else {
    Issue.record(
      "\(what): gradient [\(gradient.rows), \(gradient.columns)] of another shape than its input",
      sourceLocation: sourceLocation)
    return
  }
  let count = input.values.count
  let random = CounterRandom(seed: 0x6772_6164, UInt64(count))
  let chosen =
    count <= samples
    ? Array(0..<count) : (0..<samples).map { Int(random.bits(UInt64($0)) % UInt64(count)) }
  let step = 1e-5
  let numeric = chosen.map { index in
    var moved = input
    moved.values[index] = input.values[index] + step
    let above = twin(moved).dot(upstream)
    moved.values[index] = input.values[index] - step
    return (above - twin(moved).dot(upstream)) / (2 * step)
  }
  let elements = gradient.elements
  let scale = numeric.reduce(0) { max($0, abs($1)) }
  for (index, expected) in zip(chosen, numeric) {
    let error = abs(Double(elements[index]) - expected)
    if !(error <= relative * scale + 1e-7) {
      Issue.record(
        """
        \(what): gradient [\(index / input.columns), \(index % input.columns)] is \
        \(elements[index]), central difference \(expected), largest \(scale)
        """, sourceLocation: sourceLocation)
      return
    }
  }
}

/// Runs `body` with 1, 2 and 3 threads and records an issue unless its result has the same bits.
package func expectThreadIndependence(
  _ what: String = "", sourceLocation: SourceLocation = #_sourceLocation, _ body: () -> [View]
) {
  let results = [1, 2, 3].map { threads in withThreads(threads, body) }
  for other in results.dropFirst() {
    for (index, (a, b)) in zip(results[0], other).enumerated() {
      expectSameBits(a, b, "\(what), result \(index), threads", sourceLocation: sourceLocation)
    }
  }
}
