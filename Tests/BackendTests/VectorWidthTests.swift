import Backends
import CProcessor
import DeviceCheck
import Deterministic
import Machine
import Tensor
import TestSupport
import Testing

/// Kernels over sixteen lanes beside those over eight: no bit is another.
///
/// Where the processor has no AVX-512, a build with EMULATE_AVX512=1 runs the wider kernels all the same.
/// Products in bfloat16 have the bits of instructions on pairs wherever these are missing.
@Suite(.enabled(if: VectorUnits.hasAVX512)) struct VectorWidthTests {
  @Test(arguments: DeviceCheck.all, Precision.allCases)
  func everyOperation(check: DeviceCheck, precision: Precision) throws {
    guard let expected = try check.results(on: Backend.kernels(of: .avx2, precision)) else {
      return
    }
    for usesPairs in precision == .bfloat16 ? [true, false] : [false] {
      let actual = try #require(
        try check.results(on: Backend.kernels(of: .avx512, precision, usesPairs: usesPairs)))
      #expect(actual.count == expected.count && !actual.isEmpty)
      for (a, b) in zip(actual, expected) {
        #expect(haveSameBits(a.numbers, b.numbers), "\(a.name) of \(check)")
      }
    }
  }

  /// The check of the bits of instructions on pairs passes where there are any.
  ///
  /// Whether they are used is a matter of time: they are slow on some processors.
  @Test func pairsHaveTheirBits() {
    #expect(Backend.hasPairs == (VectorUnits.current == .avx512 && cp_has_bfloat16_pairs() != 0))
    #expect(!Backend.multipliesPairs || Backend.hasPairs)
  }

  /// A build that is not to emulate wide registers has them, whatever flags it was given.
  @Test(.enabled(if: cp_has_avx512() != 0 && !VectorUnits.isEmulated))
  func wideKernelsAreCompiledForWideRegisters() {
    #expect(Backend.isCompiledForAVX512, "build without -Xcc -march")
  }

  /// Rows, terms and columns: tiles that are whole, that lack rows or columns, and that lack a whole
  /// panel; several blocks of terms, several passes over columns.
  private static let shapes: [(rows: Int, steps: Int, columns: Int)] = [
    (1, 64, 48), (3, 40, 16), (17, 33, 50), (47, 256, 90), (48, 96, 32), (53, 70, 33),
    (60, 130, 49), (97, 300, 64), (102, 520, 112), (205, 257, 513), (60, 2_100, 1_100),
    (1_030, 64, 80),
  ]

  @Test(arguments: Self.shapes, Precision.allCases)
  func products(shape: (rows: Int, steps: Int, columns: Int), precision: Precision) throws {
    let (rows, steps, columns) = shape
    let all = [
      Backend.kernels(of: .avx2, precision), Backend.kernels(of: .avx512, precision),
      Backend.kernels(of: .avx512, precision, usesPairs: true),
      Backend.kernels(of: .avx512, precision, usesPairs: false),
    ]
    let results = try all.map { kernels in
      func view(_ rows: Int, _ columns: Int, _ word: UInt64) throws -> View {
        let view = try kernels.makeView(rows: rows, columns: columns)
        var numbers = CounterRandom(seed: 3, word).gaussians(0..<rows * columns, deviation: 1)
        // Sums that lose digits at other terms, products and operands that are subnormal.
        for index in numbers.indices where index % 5 == 2 {
          numbers[index] *= index % 3 == 0 ? 0x1p-130 : index % 3 == 1 ? 0x1p-66 : 0x1p9
        }
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
    for (number, other) in results.enumerated().dropFirst() {
      for (index, (a, b)) in zip(results[0], other).enumerated() {
        #expect(haveSameBits(a, b), "result \(index) of kernels \(number)")
      }
    }
  }
}
