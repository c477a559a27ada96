import CPUBackend
import Host
import OracleBackend
import Tensor
import TestSupport
import Testing

/// Row-major Combiner attention with projected addresses, which no other test can drive.
@Suite struct CombinerProjectionTests {
  /// Inputs, weights and what the passes write.
  struct Problem {
    var attention: AttentionCase
    let projection: CombinerProjection
    let shape: CombinerShape

    init(
      lengths: [Int], heads: Int, keyWidth: Int, valueWidth: Int, width: Int, segment: Int
    ) {
      let variant = AttentionVariant.combiner(.rowmajor, segment: segment, address: .proj)
      attention = variant.problem(
        lengths: lengths, heads: heads, keyWidth: keyWidth, valueWidth: valueWidth)
      shape = CombinerShape(
        heads: heads, scale: attention.scale, pattern: .rowmajor, segment: segment,
        address: .proj)
      let gain = randomView(rows: 1, columns: width, seed: 24, deviation: 0.1)
      for column in 0..<width { gain[0, column] += 1 }
      projection = CombinerProjection(
        input: randomView(rows: attention.positions, columns: width, seed: 21, padding: 3),
        own: [
          randomView(rows: width, columns: heads * valueWidth, seed: 22, deviation: 0.5),
          randomView(rows: heads * keyWidth, columns: width, seed: 23, deviation: 0.5), gain,
          randomView(rows: 1, columns: width, seed: 25, deviation: 0.1),
        ])
    }

    /// The rows of one sequence alone.
    init(_ other: Problem, rows: Range<Int>) {
      attention = AttentionCase(other.attention, rows: rows)
      let all = other.projection
      projection = CombinerProjection(
        input: all.input.rows(rows),
        own: [all.summaryWeight, all.addressWeight, all.gain, all.bias])
      shape = other.shape
    }

    func forward() -> AttentionResult { forward(into: AttentionResult(attention)) }

    func forward(into result: AttentionResult) -> AttentionResult {
      CPUKernels().combinerAttention(shape).forward(
        attention.tensors(result, projection), attention.pass)
      return result
    }

    func backward(_ result: AttentionResult) -> ProjectionGradients {
      let gradients = ProjectionGradients(of: projection)
      backward(result, gradients)
      return gradients
    }

    func backward(_ result: AttentionResult, _ gradients: ProjectionGradients) {
      CPUKernels().combinerAttention(shape).backward(
        attention.tensors(result, projection), attention.gradients(result, gradients),
        attention.pass)
    }

    func decode() throws -> View {
      let operation = CPUKernels().combinerAttention(shape)
      let state = try operation.makeState(
        HeadWidths(keys: attention.keyWidth, values: attention.valueWidth), layer: 0,
        draw: .evaluation(seed: 0))
      let result = AttentionResult(attention)
      let tensors = attention.tensors(result, projection)
      for position in 0..<attention.positions {
        operation.step(tensors.rows(position..<position + 1), [state])
      }
      return result.o
    }
  }

  @Test(arguments: [(1, [1, 2, 0, 9]), (4, [11, 3, 4, 5, 17]), (7, [50]), (16, [33, 100])])
  func equalsDefinition(segment: Int, lengths: [Int]) {
    let problem = Problem(
      lengths: lengths, heads: 2, keyWidth: 5, valueWidth: 6, width: 9, segment: segment)
    let twin = ReferenceProjectedCombiner(problem.attention, problem.projection, problem.shape)
    expectClose(problem.forward().o, twin.forward(), relative: 2e-5, absolute: 2e-5)
  }

  @Test func everyGradientIsADifferenceOfTheTwin() {
    let problem = Problem(
      lengths: [23, 3, 14], heads: 2, keyWidth: 3, valueWidth: 4, width: 5, segment: 4)
    let result = problem.forward()
    let gradients = problem.backward(result)
    let twin = ReferenceProjectedCombiner(problem.attention, problem.projection, problem.shape)
    for (name, gradient, path) in [
      ("q", result.dq, \ReferenceProjectedCombiner.q), ("k", result.dk, \.k),
      ("v", result.dv, \.v), ("input", gradients.dInput, \.input),
      ("summary weight", gradients.dSummaryWeight, \.summaryWeight),
      ("address weight", gradients.dAddressWeight, \.addressWeight),
      ("gain", gradients.dGain, \.gain), ("bias", gradients.dBias, \.bias),
    ] {
      expectGradient(
        gradient, at: twin[keyPath: path], upstream: Matrix(problem.attention.dO),
        relative: 1e-4, samples: 60, name
      ) {
        var moved = twin
        moved[keyPath: path] = $0
        return moved.forward()
      }
    }
  }

  @Test func weightGradientsAccumulateAndTheOthersOverwrite() {
    let problem = Problem(
      lengths: [50, 33], heads: 2, keyWidth: 8, valueWidth: 8, width: 16, segment: 8)
    let result = problem.forward()
    let gradients = problem.backward(result)
    let once = [gradients.dSummaryWeight, gradients.dGain].map(\.elements)
    let input = gradients.dInput.elements
    problem.backward(result, gradients)
    let twice = [gradients.dSummaryWeight, gradients.dGain].map(\.elements)
    for (a, b) in zip(once.joined(), twice.joined()) {
      #expect(abs(2 * a - b) <= 1e-5 * (1 + abs(b)))
    }
    #expect(gradients.dInput.elements == input)
    #expect(gapsUntouched(gradients.dInput))
  }

  @Test(arguments: [1, 5, 16])
  func decodingGivesTheBitsOfTheForwardPass(segment: Int) throws {
    let problem = Problem(
      lengths: [101], heads: 2, keyWidth: 7, valueWidth: 8, width: 12, segment: segment)
    #expect(try problem.decode().elements == problem.forward().o.elements)
  }

  @Test func sequencesOfABatchAreAlone() {
    let lengths = [5, 0, 70, 1, 33]
    let batch = Problem(
      lengths: lengths, heads: 2, keyWidth: 8, valueWidth: 8, width: 16, segment: 8)
    let together = batch.forward()
    for sequence in lengths.indices {
      let range = batch.attention.starts[sequence]..<batch.attention.starts[sequence + 1]
      let alone = Problem(batch, rows: range).forward()
      #expect(alone.o.elements == together.o.rows(range).elements)
    }
  }

  @Test func theFutureDoesNotExist() {
    let length = 90
    func problem() -> Problem {
      Problem(lengths: [length], heads: 2, keyWidth: 8, valueWidth: 8, width: 16, segment: 8)
    }
    let before = problem().forward()
    for cut in [1, 7, 8, 9, 15, 16, 17, 33, 64, 89] {
      let changed = problem()
      let inputs = [
        changed.attention.q, changed.attention.k, changed.attention.v, changed.projection.input,
      ]
      for (index, view) in inputs.enumerated() {
        let noise = randomView(
          rows: length - cut, columns: view.columns, seed: 70 + UInt64(index), deviation: 1e3)
        view.rows(cut..<length).copy(from: noise)
      }
      changed.attention.dO.rows(cut..<length).fill(0)
      let after = changed.forward()
      #expect(after.o.rows(0..<cut).elements == before.o.rows(0..<cut).elements, "cut \(cut)")
      let gradients = changed.backward(after)
      for gradient in [after.dq, after.dk, after.dv, gradients.dInput] {
        let later = gradient.rows(cut..<length).elements
        #expect(later.allSatisfy { $0 == 0 }, "cut \(cut)")
      }
    }
  }

  @Test func threadsDoNotMatter() {
    let problem = Problem(
      lengths: [300, 20, 513, 1, 90], heads: 3, keyWidth: 16, valueWidth: 8, width: 48,
      segment: 16)
    expectThreadIndependence("projected addresses") {
      let result = problem.forward()
      let gradients = problem.backward(result)
      return [
        result.o, result.lse, result.dq, result.dk, result.dv, gradients.dInput,
        gradients.dSummaryWeight, gradients.dAddressWeight, gradients.dGain, gradients.dBias,
      ]
    }
  }
}
