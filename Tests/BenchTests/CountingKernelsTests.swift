import Bench
import CPUBackend
import Tensor
import Testing

struct CountingKernelsTests {
  @Test func countsEveryProductOnce() {
    let kernels = CountingKernels(CPUKernels())
    let (x, w, y) = (
      View(rows: 5, columns: 3), View(rows: 7, columns: 3), View(rows: 5, columns: 7)
    )
    kernels.linearForward(y: y, x: x, w: w, accumulate: false)
    #expect(kernels.flops == 2 * 5 * 3 * 7)
    kernels.linearBackwardInput(dx: x, dy: y, w: w, accumulate: false)
    kernels.linearBackwardWeight(dw: w, dy: y, x: x)
    #expect(kernels.flops == 3 * 2 * 5 * 3 * 7)
    kernels.crossEntropyForwardBackward(
      nllNats: View(rows: 1, columns: 5), dHidden: View(rows: 5, columns: 3),
      dw: View(rows: 7, columns: 3), hidden: x, w: w, targets: Indices([0, 1, 2, 3, 4]),
      gradientScale: 1)
    #expect(kernels.flops == 6 * 2 * 5 * 3 * 7)
  }
}
