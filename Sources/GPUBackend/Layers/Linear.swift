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
    let slices = DepthSlices(rows: dw.rows, columns: dw.columns, depth: x.rows)
    guard slices.count > 1 else {
      return multiply(
        GPUProduct(
          dw, .init(dy, isTransposed: true), .init(x), accumulate: true,
          rowsAreIndependent: false))
    }
    let (cut, all) = (0..<slices.count * slices.depth, x.rows)
    scratch.lendViews([(slices.count * dw.rows, dw.columns)]) { parts in
      multiply(
        GPUProduct(
          parts[0], .init(dy.rows(cut), isTransposed: true), .init(x.rows(cut)),
          accumulate: false, rowsAreIndependent: false, parts: slices.count))
      driver.launch(
        GPUKernel("sum_rows", "add_products"), grid: .eights(of: dw), dw.matrix, parts[0].matrix,
        dy.rows(cut.upperBound..<all).matrix, x.rows(cut.upperBound..<all).matrix)
    }
  }

  /// Asks for a product, unless only memory is counted.
  func multiply(_ product: GPUProduct) {
    guard GPUScratch.recorder == nil, product.c.count > 0 else { return }
    driver.product(product)
  }
}

/// How the long sums of a weight's gradient are cut into parts that a card computes at once.
///
/// The gradient itself is small: in tiles of 128 x 256 a matrix of 512 x 512 keeps 8 of 132
/// multiprocessors busy. The library's own ways to cut sums promise no order; here the parts are products
/// of their own, which are added in order. The cut follows from the shape alone.
package struct DepthSlices: Equatable {
  package let count: Int
  /// Rows of a slice; fewer than `count` rows are left over.
  package let depth: Int

  private static let multiprocessors = 132
  /// Shorter sums are not worth a slice.
  private static let leastDepth = 1_024

  package init(rows: Int, columns: Int, depth: Int) {
    func tiles(_ high: Int, _ wide: Int) -> Int {
      ((rows + high - 1) / high) * ((columns + wide - 1) / wide)
    }
    let tiles = min(tiles(128, 256), tiles(256, 128))
    // The share of the card at work, and the time that goes into writing and adding up the parts: eight
    // bytes an element, while a product does some 2,000 multiplications.
    func worth(_ count: Int) -> Double {
      let blocks = tiles * count
      let waves = (blocks + Self.multiprocessors - 1) / Self.multiprocessors
      let busy = Double(blocks) / Double(waves * Self.multiprocessors)
      return count == 1 ? busy : busy / (1 + 1_000 * Double(count) / Double(depth))
    }
    let most = min(32, depth / Self.leastDepth)
    var best = 1
    for count in stride(from: 2, through: most, by: 1) where worth(count) > worth(best) {
      best = count
    }
    count = best
    self.depth = depth / best
  }

  /// Bytes of the parts; a shorter sum is never cut into more.
  func bytes(rows: Int, columns: Int) -> Int { count > 1 ? 4 * count * rows * columns : 0 }
}
