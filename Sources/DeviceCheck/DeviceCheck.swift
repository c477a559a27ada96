import OracleBackend
package import Tensor

/// Results of an operation by name.
package typealias Results = [(name: String, view: View)]

/// Something that must hold of a device's figures, and by how much it does.
package struct Finding: Sendable {
  /// What was looked at.
  package let what: String
  /// Largest error, relative to the largest element; 0 where bits are compared and equal.
  package let error: Double
  package let bound: Double

  package var holds: Bool { error <= bound }

  init(what: String, error: Double, bound: Double) {
    self.what = what
    self.error = error
    self.bound = bound
  }

  /// What must have the same bits.
  init(what: String, sameBits actual: [Float], as expected: [Float]) {
    let isSame = haveSameBits(actual, expected)
    let error = isSame ? 0 : max(relativeError(actual, expected), .leastNonzeroMagnitude)
    self.init(what: what, error: error, bound: 0)
  }
}

/// One check of a device: what it does, and what it finds.
package struct DeviceCheck: Sendable, CustomStringConvertible {
  /// The operation or promise, and its shape.
  package let name: String
  private let body: @Sendable (any Kernels, Repetition) throws -> [Finding]
  private let outputs: @Sendable (any Kernels) throws -> [(name: String, numbers: [Float])]?

  /// Does once more what it is given, in other circumstances.
  package typealias Repetition = (_ body: () throws -> Void) throws -> Void

  /// Runs it on a device; nothing is found where the device leaves the operation out.
  ///
  /// - Parameters:
  ///   - kernels: Of the device.
  ///   - again: What is promised to repeat is done in it once more; tests take other threads there.
  package func run(
    on kernels: any Kernels, again: Repetition = { try $0() }
  ) throws -> [Finding] {
    try body(kernels, again)
  }

  /// What the operation writes on a device; nil where the device leaves it out, and of promises.
  package func results(
    on kernels: any Kernels
  ) throws -> [(name: String, numbers: [Float])]? {
    try outputs(kernels)
  }

  package var description: String { name }

  /// An operation that is compared with the oracle, and with itself once more.
  ///
  /// - Parameters:
  ///   - name: Of the operation, and its shape.
  ///   - relative: Bound in place of the promised one, given that.
  ///   - size: Errors are relative to this at least: what cancels to nothing keeps the rounding of its
  ///     parts.
  ///   - body: Places inputs and returns the results; nil where the device leaves the operation out.
  init(
    _ name: String, relative: @escaping @Sendable (_ promised: Double) -> Double = { $0 },
    size: Double = 0, _ body: @escaping @Sendable (Stage) throws -> Results?
  ) {
    self.name = name
    let numbers = { @Sendable (kernels: any Kernels) in
      let stage = Stage(kernels)
      return try body(stage)?.map { (name: $0.name, numbers: try stage.numbers($0.view)) }
    }
    outputs = numbers
    self.body = { kernels, again in
      guard let actual = try numbers(kernels), let expected = try numbers(Oracle.kernels) else {
        return []
      }
      let promises = kernels.promises
      var findings = zip(actual, expected).map { a, b in
        Finding(
          what: a.name, error: relativeError(a.numbers, b.numbers, size: size),
          bound: relative(promises.relativeError))
      }
      guard promises.isRepeatable else { return findings }
      try again {
        for (a, b) in zip(actual, try numbers(kernels) ?? []) {
          findings.append(
            Finding(what: "\(a.name) once more", sameBits: a.numbers, as: b.numbers))
        }
      }
      return findings
    }
  }

  /// A promise that is kept or not.
  init(_ name: String, promise: @escaping @Sendable (any Kernels) throws -> [Finding]) {
    self.name = name
    body = { kernels, _ in try promise(kernels) }
    outputs = { _ in nil }
  }
}

extension DeviceCheck {
  /// Every check there is.
  package static let all =
    layers + products + optimizers + rows + attentions + attentionPromises + tiles
}

/// What devices are compared with.
enum Oracle {
  static let kernels: any Kernels = OracleKernels()
}

/// Largest difference relative to the largest expected element, or to `size` if that is more; infinite
/// where one is no number.
package func relativeError(_ actual: [Float], _ expected: [Float], size: Double = 0) -> Double {
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

package func haveSameBits(_ a: [Float], _ b: [Float]) -> Bool {
  a.map(\.bitPattern) == b.map(\.bitPattern)
}
