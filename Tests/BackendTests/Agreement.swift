import Tensor
import TestSupport
import Testing

/// Results of an operation by name.
typealias Results = [(name: String, view: View)]

/// Does the same on a back end and on the oracle, and records an issue unless every result agrees
/// within what the back end promises; what it promises to repeat is done twice, by other threads.
///
/// - Parameters:
///   - backend: The one that is compared.
///   - relative: Bound in place of the promised one, where an operation needs its own.
///   - size: Errors are relative to this at least: what cancels to nothing keeps the rounding of its
///     parts.
///   - body: Places inputs and returns the results.
func expectAgreement(
  _ backend: TestBackend, relative: Double? = nil, size: Double = 0,
  sourceLocation: SourceLocation = #_sourceLocation,
  _ body: (Stage) throws -> Results
) throws {
  func numbers(_ backend: TestBackend) throws -> [(name: String, numbers: [Float])] {
    let stage = try Stage(backend)
    return try body(stage).map { ($0.name, try stage.numbers($0.view)) }
  }
  let expected = try numbers(.oracle)
  let actual = try numbers(backend)
  let promises = try backend.makeKernels().promises
  for (a, b) in zip(actual, expected) {
    let error = relativeError(a.numbers, b.numbers, size: size)
    #expect(
      error <= relative ?? promises.relativeError, "\(a.name) is off by \(error)",
      sourceLocation: sourceLocation)
  }
  guard promises.isRepeatable else { return }
  for threads in [1, 3] {
    for (a, b) in zip(actual, try withThreads(threads, { try numbers(backend) })) {
      #expect(
        haveSameBits(a.numbers, b.numbers), "\(a.name) by \(threads) threads",
        sourceLocation: sourceLocation)
    }
  }
}

/// Largest difference relative to the largest expected element, or to `size` if that is more; infinite
/// where one is no number.
func relativeError(_ actual: [Float], _ expected: [Float], size: Double = 0) -> Double {
  guard actual.count == expected.count else { return .infinity }
  var (difference, largest) = (0.0, size)
  for (x, y) in zip(actual, expected) {
    let error = abs(Double(x) - Double(y))
    if !error.isFinite { return .infinity }
    difference = max(difference, error)
    largest = max(largest, abs(Double(y)))
  }
  return difference == 0 ? 0 : difference / largest
}

func haveSameBits(_ a: [Float], _ b: [Float]) -> Bool {
  a.map(\.bitPattern) == b.map(\.bitPattern)
}
