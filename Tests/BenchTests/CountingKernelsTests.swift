import Backends
import Bench
import Tensor
import Testing

struct CountingKernelsTests {
  @Test(arguments: Backend.allCases) func countsEveryProductOnce(backend: Backend) throws {
    let kernels = CountingKernels(
      try #require(try backend.makeKernels() as? any SoftmaxAttentionKernels))
    func zeros(_ rows: Int, _ columns: Int) throws -> View {
      try kernels.makeView(rows: rows, columns: columns)
    }
    let (x, w, y) = (try zeros(5, 3), try zeros(7, 3), try zeros(5, 7))
    kernels.linearForward(y: y, x: x, w: w, accumulate: false)
    #expect(kernels.flops == 2 * 5 * 3 * 7)
    kernels.linearBackwardInput(dx: x, dy: y, w: w, accumulate: false)
    kernels.linearBackwardWeight(dw: w, dy: y, x: x)
    #expect(kernels.flops == 3 * 2 * 5 * 3 * 7)
    kernels.crossEntropyForwardBackward(
      nllNats: try zeros(1, 5), dHidden: try zeros(5, 3), dw: try zeros(7, 3), hidden: x, w: w,
      targets: try kernels.place([0, 1, 2, 3, 4]), gradientScale: 1)
    #expect(kernels.flops == 6 * 2 * 5 * 3 * 7)
  }
}
