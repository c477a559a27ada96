import Deterministic
import Model
import Tensor
import TestSupport
import Testing

// Models of the variants on any back end, seen through its verbs alone.

extension Variant {
  func model(on backend: TestBackend, seed: UInt64 = 3) throws -> Transformer {
    let kernels = try backend.makeKernels()
    return try Transformer(config, parameters: weights(on: kernels, seed: seed), kernels: kernels)
  }

  /// Initial weights, and biases and rows of n-grams that are no zeros, as they are after some steps.
  func weights(on kernels: any Kernels, seed: UInt64) throws -> Parameters {
    var parameters = try Parameters(config, on: kernels)
    try parameters.initialize(seed: seed)
    for slot in parameters.layout.slots where slot.name.hasSuffix("_proj.bias") {
      let random = CounterRandom(seed: seed, UInt64(slot.offset))
      try kernels.write(
        random.gaussians(0..<slot.count, deviation: 0.3), to: parameters.view(slot))
    }
    parameters.ngrams = try NgramTables(config, isTrained: true, on: kernels)
    for table in parameters.ngrams?.tables ?? [] {
      let random = CounterRandom(seed: seed, UInt64(table.ngram.order))
      try kernels.write(random.gaussians(0..<table.rows.count, deviation: 0.2), to: table.rows)
    }
    return parameters
  }
}

extension Transformer {
  /// Zeros in the shape of the weights.
  func makeGradients() throws -> Parameters { try Parameters(config, on: kernels) }
}

extension Parameters {
  /// All weights, read.
  func numbers() throws -> [Float] { try device.numbers(of: all) }
}

extension TestBackend {
  /// Definitions and emulated kernels are slow: texts are shorter and steps are fewer there.
  var isSlow: Bool { self != .cpu }

  /// Records an issue unless two rows of figures are as alike as the back end promises of figures
  /// that other rows were computed with.
  func expectAlike(
    _ a: some Collection<Float>, _ b: some Collection<Float>, _ what: String = "",
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let promises = try makeKernels().promises
    var bound = 0.0
    if !promises.rowsAreIndependent {
      bound = promises.relativeError * b.reduce(0) { max($0, abs(Double($1))) }
    }
    let different = zip(a, b).count { !(abs(Double($0) - Double($1)) <= bound) }
    #expect(
      a.count == b.count && different == 0, "\(what): \(different) of \(b.count) differ",
      sourceLocation: sourceLocation)
  }
}
