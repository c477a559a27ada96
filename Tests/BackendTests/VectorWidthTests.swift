import Backends
import DeviceCheck
import Deterministic
import Machine
import Tensor
import TestSupport
import Testing

/// Kernels over sixteen lanes beside those over eight: no bit is another.
///
/// Where the processor has no AVX-512, a build with EMULATE_AVX512=1 runs the wider kernels all the same.
@Suite(.enabled(if: VectorUnits.hasAVX512)) struct VectorWidthTests {
  private let narrow = Backend.kernels(of: .avx2)
  private let wide = Backend.kernels(of: .avx512)

  @Test(arguments: DeviceCheck.all) func everyOperation(check: DeviceCheck) throws {
    guard let expected = try check.results(on: narrow) else { return }
    let actual = try #require(try check.results(on: wide))
    #expect(actual.count == expected.count && !actual.isEmpty)
    for (a, b) in zip(actual, expected) {
      #expect(haveSameBits(a.numbers, b.numbers), "\(a.name) of \(check)")
    }
  }

  /// Rows, terms and columns: tiles that are whole, that lack rows or columns, and that lack a whole
  /// panel; several blocks of terms, several passes over columns.
  private static let shapes: [(rows: Int, steps: Int, columns: Int)] = [
    (1, 64, 48), (3, 40, 16), (17, 33, 50), (47, 256, 90), (48, 96, 32), (53, 70, 33),
    (60, 130, 49), (97, 300, 64), (102, 520, 112), (205, 257, 513), (60, 2_100, 1_100),
    (1_030, 64, 80),
  ]

  @Test(arguments: Self.shapes) func products(rows: Int, steps: Int, columns: Int) throws {
    let results = try [narrow, wide].map { kernels in
      func view(_ rows: Int, _ columns: Int, _ word: UInt64) throws -> View {
        let view = try kernels.makeView(rows: rows, columns: columns)
        let numbers = CounterRandom(seed: 3, word).gaussians(0..<rows * columns, deviation: 1)
        try kernels.write(numbers, to: view)
        return view
      }
      let (x, w) = (try view(rows, steps, 1), try view(columns, steps, 2))
      let (y, dy) = (try view(rows, columns, 3), try view(rows, columns, 4))
      let (dx, dw) = (try view(rows, steps, 5), try view(columns, steps, 6))
      var all: [[Float]] = []
      for accumulate in [true, false] {
        kernels.linearForward(y: y, x: x, w: w, accumulate: accumulate)
        kernels.linearBackwardInput(dx: dx, dy: dy, w: w, accumulate: accumulate)
        kernels.linearBackwardWeight(dw: dw, dy: dy, x: x)
        for result in [y, dx, dw] { all.append(try kernels.numbers(of: result)) }
      }
      return all
    }
    for (index, (a, b)) in zip(results[0], results[1]).enumerated() {
      #expect(haveSameBits(a, b), "result \(index)")
    }
  }
}
