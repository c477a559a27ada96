package import Tensor

extension GPUKernels {
  package func linearForward(y: View, x: View, w: View, accumulate: Bool) {
    multiply(
      GPUProduct(
        y, .init(x), .init(w, isTransposed: true), accumulate: accumulate,
        rowsAreIndependent: true))
  }

  package func linearBackwardInput(dx: View, dy: View, w: View, accumulate: Bool) {
    multiply(
      GPUProduct(dx, .init(dy), .init(w), accumulate: accumulate, rowsAreIndependent: false))
  }

  package func linearBackwardWeight(dw: View, dy: View, x: View) {
    multiply(
      GPUProduct(
        dw, .init(dy, isTransposed: true), .init(x), accumulate: true, rowsAreIndependent: false))
  }

  /// Asks for a product, unless only memory is counted.
  func multiply(_ product: GPUProduct) {
    guard GPUScratch.recorder == nil, product.c.count > 0 else { return }
    driver.product(product)
  }
}
