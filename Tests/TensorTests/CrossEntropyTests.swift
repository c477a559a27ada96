import CPUBackend
import Foundation
import Host
import OracleBackend
import Tensor
import TestSupport
import Testing

private let kernels = CPUKernels()

/// Rows, width, vocabulary and padding.
private let shapes: [(rows: Int, width: Int, vocabulary: Int, padding: Int)] = [
  (1, 1, 2, 0), (3, 5, 7, 0), (9, 8, 64, 3), (25, 33, 65, 0), (50, 16, 1001, 5), (100, 20, 1024, 0),
  // Several blocks of positions; several chunks of the vocabulary.
  (1_000, 3, 70, 0), (49, 4, 9_001, 2),
]

private struct Case {
  let hidden: View
  let w: View
  let targets: [Int32]

  init(rows: Int, width: Int, vocabulary: Int, padding: Int = 0, deviation: Double = 1) {
    hidden = randomView(rows: rows, columns: width, seed: 1, padding: padding)
    w = randomView(
      rows: vocabulary, columns: width, seed: 2, deviation: deviation, padding: padding)
    targets = randomIds(rows, below: vocabulary, seed: 3)
  }
}

private func forward(_ input: Case) -> View {
  let nll = filledView(rows: 1, columns: input.hidden.rows, value: .nan)
  kernels.crossEntropyForward(
    nllNats: nll, hidden: input.hidden, w: input.w, targets: input.targets)
  return nll
}

@Suite struct CrossEntropyTests {
  @Test(arguments: shapes)
  func forwardMatchesTwin(rows: Int, width: Int, vocabulary: Int, padding: Int) {
    let input = Case(rows: rows, width: width, vocabulary: vocabulary, padding: padding)
    let expected = ReferenceKernels.crossEntropy(
      hidden: Matrix(input.hidden), w: Matrix(input.w), targets: input.targets)
    expectThreadIndependence {
      let nll = forward(input)
      // Logits of this size carry their own rounding, a few units in the last place.
      expectClose(nll, expected, relative: 5e-7, absolute: 3e-6)
      #expect(gapsUntouched(input.hidden) && gapsUntouched(input.w))
      return [nll]
    }
  }

  @Test(arguments: shapes)
  func backwardMatchesDifferences(rows: Int, width: Int, vocabulary: Int, padding: Int) {
    let input = Case(rows: rows, width: width, vocabulary: vocabulary, padding: padding)
    let scale: Float = 0.25
    let start = randomView(rows: vocabulary, columns: width, seed: 4, padding: padding)
    let bare = filledView(rows: vocabulary, columns: width, value: 0)
    let nllAlone = forward(input)
    expectThreadIndependence {
      let nll = filledView(rows: 1, columns: rows, value: .nan)
      let dHidden = filledView(rows: rows, columns: width, value: .nan, padding: padding)
      let dw = duplicate(start)
      kernels.crossEntropyForwardBackward(
        nllNats: nll, dHidden: dHidden, dw: dw, hidden: input.hidden, w: input.w,
        targets: input.targets, gradientScale: scale)
      expectSameBits(nll, nllAlone, "forward alone and with gradients")
      #expect(gapsUntouched(dHidden) && gapsUntouched(dw))
      return [nll, dHidden, dw]
    }
    let dHidden = filledView(rows: rows, columns: width, value: .nan)
    kernels.crossEntropyForwardBackward(
      nllNats: View(rows: 1, columns: rows), dHidden: dHidden, dw: bare, hidden: input.hidden,
      w: input.w, targets: input.targets, gradientScale: scale)
    let dw = duplicate(start)
    kernels.crossEntropyForwardBackward(
      nllNats: View(rows: 1, columns: rows), dHidden: dHidden, dw: dw, hidden: input.hidden,
      w: input.w, targets: input.targets, gradientScale: scale)
    expectClose(dw, Matrix(start) + Matrix(bare), absolute: 1e-5, "dw accumulates")

    var upstream = Matrix(rows: 1, columns: rows)
    upstream.values = upstream.values.map { _ in Double(scale) }
    let (wideHidden, wideW) = (Matrix(input.hidden), Matrix(input.w))
    expectGradient(dHidden, at: wideHidden, upstream: upstream, samples: 20, "dHidden") {
      ReferenceKernels.crossEntropy(hidden: $0, w: wideW, targets: input.targets)
    }
    expectGradient(bare, at: wideW, upstream: upstream, samples: 20, "dw") {
      ReferenceKernels.crossEntropy(hidden: wideHidden, w: $0, targets: input.targets)
    }
  }

  @Test(arguments: [2, 63, 64, 1000, 8001])
  func uniformLogitsGiveTheLogOfTheVocabulary(vocabulary: Int) {
    let input = Case(rows: 30, width: 8, vocabulary: vocabulary, deviation: 0)
    for nats in forward(input).elements {
      #expect(abs(Double(nats) - log(Double(vocabulary))) < 1e-6)
    }
  }

  /// With one nonzero width the logits are exact, so what is left is the error of the softmax.
  @Test(arguments: [5, 1000, 8001])
  func softmaxErrorIsBelowAMillionthNat(vocabulary: Int) {
    let hidden = filledView(rows: 4, columns: 1, value: 1)
    let w = randomView(rows: vocabulary, columns: 1, seed: 2, deviation: 3)
    let targets = randomIds(4, below: vocabulary, seed: 3)
    let nll = View(rows: 1, columns: 4)
    kernels.crossEntropyForward(nllNats: nll, hidden: hidden, w: w, targets: targets)
    let expected = ReferenceKernels.crossEntropy(
      hidden: Matrix(hidden), w: Matrix(w), targets: targets)
    expectClose(nll, expected, relative: 0, absolute: 1e-6)
  }

  @Test func hugeLogitsStayFinite() {
    let hidden = filledView(rows: 3, columns: 1, value: 1e4)
    let w = View(rows: 4, columns: 1, elements: [1, -1, 0, 0.5])
    let nll = View(rows: 1, columns: 3)
    let dHidden = View(rows: 3, columns: 1)
    let dw = View(rows: 4, columns: 1)
    kernels.crossEntropyForwardBackward(
      nllNats: nll, dHidden: dHidden, dw: dw, hidden: hidden, w: w, targets: [0, 1, 2],
      gradientScale: 1)
    #expect(nll.elements == [0, 20_000, 10_000])
    #expect(dHidden.elements == [0, 2, 1])
    #expect(dw.elements.allSatisfy { $0.isFinite })
  }

  @Test func notANumberReachesTheResult() {
    let input = Case(rows: 30, width: 8, vocabulary: 100)
    input.hidden[7, 3] = .nan
    input.hidden[9, 3] = .infinity
    let nats = forward(input).elements
    for row in nats.indices { #expect(nats[row].isNaN == (row == 7 || row == 9)) }
    let one = Case(rows: 3, width: 8, vocabulary: 100)
    one.w[99, 0] = .nan
    #expect(forward(one).elements.allSatisfy { $0.isNaN })
  }

  /// Nats of a position are the same bits in any company, also past one block of logits.
  @Test(arguments: [(16, 7), (24, 63), (33, 65), (64, 1000), (8, 8001), (8, 40_000)])
  func positionsDoNotDependOnTheBatch(width: Int, vocabulary: Int) {
    let rows = 1000 * 1000 / vocabulary > 333 ? 333 : 250
    let input = Case(rows: rows, width: width, vocabulary: vocabulary)
    let whole = forward(input)
    for (first, count) in [(0, 1), (5, 1), (rows - 1, 1), (7, 5), (3, 24), (100, 25), (50, 100)] {
      let hidden = randomView(rows: count, columns: width, seed: 9)
      hidden.copy(from: input.hidden.rows(first..<first + count))
      let nll = View(rows: 1, columns: count)
      kernels.crossEntropyForward(
        nllNats: nll, hidden: hidden, w: input.w,
        targets: [Int32](input.targets[first..<first + count]))
      expectSameBits(nll, whole.columns(first..<first + count), "positions \(first)+\(count)")
    }
  }

  @Test func scratchIsBounded() {
    for vocabulary in [2, 8001, 32_000, 32_768, 65_536, 300_000] {
      #expect(crossEntropyScratchFloats(vocabulary: vocabulary) <= 17 << 20)
      #expect(crossEntropyScratchFloats(vocabulary: vocabulary) >= 16 * vocabulary)
    }
  }
}
