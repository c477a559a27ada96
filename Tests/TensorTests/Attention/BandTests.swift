import CPUBackend
import Host
import Tensor
import TestSupport
import Testing

private let kernels = CPUKernels()

/// Matrices in bands give the bits of plain ones, and nothing between bands is written.
@Suite struct BandTests {
  @Test func everyElementKeepsItsPlace() {
    let plain = randomView(rows: 5, columns: 12, seed: 1)
    let bands = inBands(plain, width: 4)
    expectSameBits(bands, plain)
    expectSameBits(bands.rows(1..<4), plain.rows(1..<4))
    expectSameBits(bands.columns(4..<12), plain.columns(4..<12))
    expectSameBits(bands.columns(5..<7), plain.columns(5..<7))
    expectSameBits(bands.rows(2..<3).columns(8..<12).rows(0..<1), plain.rows(2..<3).columns(8..<12))
    #expect(bands[3, 9] == plain[3, 9])
    bands[3, 9] = 7
    #expect(bands.elements[3 * 12 + 9] == 7)
    let back = View(rows: 5, columns: 12)
    back.copy(from: bands)
    expectSameBits(back, bands)
    // One band of the last rows, behind all others.
    #expect(
      bands.columns(8..<12).rows(4..<5).elements
        == bands.rows(4..<5).columns(8..<12).elements)
    bands.rows(0..<2).fill(3)
    #expect(bands.elements.prefix(24).allSatisfy { $0 == 3 })
    #expect(bands.elements.dropFirst(24) == back.elements.dropFirst(24))
    #expect(gapsBetweenBandsUntouched(bands))
  }

  @Test func withoutBandsItIsTheSameMemory() {
    let bands = inBands(randomView(rows: 3, columns: 8, seed: 1), width: 2)
    let plain = bands.withoutBands
    let numbers = randomView(rows: 3, columns: 8, seed: 2)
    plain.copy(from: numbers)
    expectSameBits(plain, numbers)
    #expect(bands[0, 0] == numbers[0, 0])
    #expect(bands[1, 0] == numbers[0, 2])
  }

  /// Rows, inputs, outputs, width of a band of the inputs and of the outputs.
  static let products: [(rows: Int, inputs: Int, outputs: Int, widths: (Int, Int))] = [
    (1, 12, 8, (4, 2)), (37, 96, 66, (32, 11)), (50, 33, 35, (11, 7)), (100, 128, 192, (64, 64)),
    (207, 600, 540, (24, 20)), (300, 32, 48, (16, 16)),
  ]

  @Test(arguments: products)
  func productsOfBandsAreTheSame(rows: Int, inputs: Int, outputs: Int, widths: (Int, Int)) {
    let x = randomView(rows: rows, columns: inputs, seed: 1)
    let w = randomView(rows: outputs, columns: inputs, seed: 2)
    let dy = randomView(rows: rows, columns: outputs, seed: 3)
    let (bandedX, bandedDY) = (inBands(x, width: widths.0), inBands(dy, width: widths.1))
    for accumulate in [false, true] {
      let y = duplicate(dy)
      let dx = duplicate(x)
      kernels.linearForward(y: y, x: x, w: w, accumulate: accumulate)
      kernels.linearBackwardInput(dx: dx, dy: dy, w: w, accumulate: accumulate)
      expectThreadIndependence {
        let bandedY = inBands(dy, width: widths.1)
        let bandedDX = inBands(x, width: widths.0)
        kernels.linearForward(y: bandedY, x: bandedX, w: w, accumulate: accumulate)
        kernels.linearBackwardInput(dx: bandedDX, dy: bandedDY, w: w, accumulate: accumulate)
        expectSameBits(bandedY, y, "y")
        expectSameBits(bandedDX, dx, "dx")
        #expect(gapsBetweenBandsUntouched(bandedY) && gapsBetweenBandsUntouched(bandedDX))
        return [bandedY, bandedDX]
      }
    }
    let dw = duplicate(w)
    kernels.linearBackwardWeight(dw: dw, dy: dy, x: x)
    for (left, right) in [(bandedDY, x), (dy, bandedX), (bandedDY, bandedX)] {
      let other = duplicate(w)
      kernels.linearBackwardWeight(dw: other, dy: left, x: right)
      expectSameBits(other, dw, "dw")
    }
  }

  @Test(arguments: [6, 12, 24])
  func rotationsOfBandsAreTheSame(width: Int) {
    let plain = randomView(rows: 70, columns: 48, seed: 1)
    let bands = inBands(plain, width: width)
    let positions = randomIds(70, below: 500, seed: 2)
    for inverse in [false, true] {
      for view in [plain, bands] {
        kernels.rotary(
          x: view, positions: positions, headWidth: 6, theta: 10_000, inverse: inverse)
      }
      expectSameBits(bands, plain)
    }
    #expect(gapsBetweenBandsUntouched(bands))
  }

  static let shapes = [
    AttentionShape(lengths: [150, 0, 33], heads: 2, keyWidth: 16, valueWidth: 16),
    AttentionShape(lengths: [1, 277], heads: 3, keyWidth: 7, valueWidth: 21),
  ]

  @Test(arguments: AttentionPrefixTests.variants, shapes)
  func attentionsOfBandsAreTheSame(variant: AttentionVariant, shape: AttentionShape) {
    let problem = variant.problem(
      lengths: shape.lengths, heads: shape.heads, keyWidth: shape.keyWidth,
      valueWidth: shape.valueWidth)
    let result = AttentionResult(inBands: problem)
    variant.forward(problem.inBands, result)
    variant.backward(problem.inBands, result)
    #expect(result.all == variant.run(problem).all)
    for view in [result.o, result.dq, result.dk, result.dv] {
      #expect(gapsBetweenBandsUntouched(view))
    }
  }

  @Test(arguments: [YosoShape.Estimate.expectation, .sampled, .hybrid])
  func yosoOfBandsIsTheSame(estimate: YosoShape.Estimate) {
    let shape = YosoShape(heads: 3, estimate: estimate, bits: 4, hashes: 5, chunk: 16)
    let plain = YosoCase(shape, lengths: [40, 1, 77], keyWidth: 9, valueWidth: 6)
    let bands = YosoCase(shape, plain.problem.inBands, planes: plain.planes)
    let result = bands.run(into: YosoResult(inBands: bands))
    for (actual, expected) in zip(result.all, plain.run().all) {
      expectSameBits(actual, expected)
      #expect(gapsBetweenBandsUntouched(actual))
    }
  }

  @Test func projectedCombinerOfBandsIsTheSame() {
    let plain = CombinerProjectionTests.Problem(
      lengths: [50, 33], heads: 3, keyWidth: 5, valueWidth: 8, width: 16, segment: 8)
    var bands = plain
    bands.attention = plain.attention.inBands
    let expected = plain.forward()
    let gradients = plain.backward(expected)
    let result = bands.forward(into: AttentionResult(inBands: bands.attention))
    let found = bands.backward(result)
    #expect(result.all == expected.all)
    expectSameBits(found.dInput, gradients.dInput)
    expectSameBits(found.dSummaryWeight, gradients.dSummaryWeight)
    expectSameBits(found.dAddressWeight, gradients.dAddressWeight)
  }
}
