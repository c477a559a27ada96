package import Tensor

/// Muon (Jordan et al., 2024); the mathematics is with ``Kernels/muon(_:_:)``
/// of the contract and with the processor's.
extension GPUKernels {
  /// Matrices of one shape are moved together, one below the other in working memory: a product of 512 x 512
  /// by itself keeps a tenth of a card busy.
  package func muon(_ matrices: [MuonMatrix], _ step: MuonStep) {
    let matrices = matrices.filter { $0.parameters.count > 0 }
    let groups = Self.muonGroups(matrices.map { ($0.rows, $0.columns) }, form: step.form)
    for group in groups { move(group.map { matrices[$0] }, step) }
  }

  /// Matrices of one shape; each has the bits that it has alone.
  private func move(_ matrices: [MuonMatrix], _ step: MuonStep) {
    guard let (rows, columns) = matrices.first.map({ ($0.rows, $0.columns) }) else { return }
    let shapes = Self.muonShapes(
      rows: rows, columns: columns, count: matrices.count, form: step.form)
    scratch.lendViews(shapes) { memory in
      let stacks = MuonStacks(memory: memory, count: matrices.count, isTall: rows > columns)
      func part(_ stack: View, _ index: Int) -> View {
        stack.rows(index * rows..<(index + 1) * rows)
      }
      for (index, matrix) in matrices.enumerated() {
        driver.launch(
          GPUKernel("muon", "muon_momentum"), grid: .eights(of: matrix.momentum),
          part(memory[0], index).matrix, matrix.momentum.matrix, matrix.gradients.matrix,
          step.beta, step.gradientScale)
      }
      normalize(memory[0], rows: rows)
      let direction = step.form == .gram ? orthogonalizedByGram(stacks) : orthogonalized(stacks)
      for (index, matrix) in matrices.enumerated() {
        driver.launch(
          GPUKernel("muon", "muon_move"), grid: .eights(of: matrix.parameters),
          matrix.parameters.matrix, part(direction, index).matrix,
          Float(1 - Double(step.rate) * Double(step.decay)),
          Float(-Double(step.rate) * 0.2 * Double(max(rows, columns)).squareRoot()))
      }
    }
  }

  /// Which matrices are moved together: those of one shape, in as few groups of about one size as have 128 MiB
  /// of working memory each.
  package static func muonGroups(
    _ shapes: [(rows: Int, columns: Int)], form: MuonForm
  ) -> [[Int]] {
    var ofShape: [[Int]] = []
    for index in shapes.indices {
      if let known = ofShape.firstIndex(where: { shapes[$0[0]] == shapes[index] }) {
        ofShape[known].append(index)
      } else {
        ofShape.append([index])
      }
    }
    return ofShape.flatMap { indices in
      let (rows, columns) = shapes[indices[0]]
      let most = mostMuonMatrices(rows: rows, columns: columns, form: form)
      let groups = (indices.count + most - 1) / most
      return (0..<groups).map {
        Array(indices[indices.count * $0 / groups..<indices.count * ($0 + 1) / groups])
      }
    }
  }

  /// Matrices of a shape that are moved together at most.
  static func mostMuonMatrices(rows: Int, columns: Int, form: MuonForm) -> Int {
    let own = muonShapes(rows: rows, columns: columns, count: 1, form: form)
      .reduce(8 * 513) { $0 + 4 * $1.rows * $1.columns }
    return max(1, (128 << 20) / own)
  }

  /// Of so many matrices the updates and spares of their shape, and two squares each of the short side, or
  /// four in Gram form.
  static func muonShapes(
    rows: Int, columns: Int, count: Int, form: MuonForm
  ) -> [(rows: Int, columns: Int)] {
    let short = min(rows, columns)
    return [(count * rows, columns), (count * rows, columns)]
      + Array(repeating: (count * short, short), count: form == .gram ? 4 : 2)
  }

  /// Divides each matrix of so many rows by its Frobenius norm.
  private func normalize(_ stack: View, rows: Int) {
    let size = rows * stack.columns
    let flat = View(stack.buffer, offset: stack.offset, rows: stack.count / size, columns: size)
    withSumsOfSquares(of: flat) { squares in
      driver.launch(
        GPUKernel("muon", "muon_normalize"), grid: .eights(of: stack), stack.matrix, squares,
        Int32(rows))
    }
  }

  private func product(
    _ stacks: MuonStacks, _ c: View, _ a: GPUProduct.Operand, _ b: GPUProduct.Operand
  ) {
    multiply(
      GPUProduct(
        c, a, b, accumulate: false, rowsAreIndependent: false, parts: stacks.count,
        partsAreIndependent: true))
  }

  /// `polynomial = a I + b gram + c gram²`.
  private func quintic(_ stacks: MuonStacks, of gram: View, into polynomial: View) {
    product(stacks, polynomial, .init(gram), .init(gram))
    driver.launch(
      GPUKernel("muon", "muon_polynomial"), grid: .eights(of: polynomial), polynomial.matrix,
      gram.matrix, Float(3.4445), Float(-4.7750), Float(2.0315), Int32(gram.columns))
  }

  /// Squares of the short side.
  private func square(_ stacks: MuonStacks, of x: View, into gram: View) {
    product(
      stacks, gram, .init(x, isTransposed: stacks.isTall), .init(x, isTransposed: !stacks.isTall))
  }

  /// A square of the short side times x, on the side where it fits.
  private func product(_ stacks: MuonStacks, of square: View, _ x: View, into result: View) {
    if stacks.isTall {
      product(stacks, result, .init(x), .init(square))
    } else {
      product(stacks, result, .init(square), .init(x))
    }
  }

  /// Five steps of the quintic.
  ///
  /// - Returns: Which of the first two stacks holds the result.
  private func orthogonalized(_ stacks: MuonStacks) -> View {
    var (from, to) = (stacks.memory[0], stacks.memory[1])
    let (gram, polynomial) = (stacks.memory[2], stacks.memory[3])
    for _ in 0..<5 {
      square(stacks, of: from, into: gram)
      quintic(stacks, of: gram, into: polynomial)
      product(stacks, of: polynomial, from, into: to)
      (from, to) = (to, from)
    }
    return from
  }

  /// The same steps on the squares alone; the processor's says how.
  ///
  /// - Returns: The second stack, which holds the result.
  private func orthogonalizedByGram(_ stacks: MuonStacks) -> View {
    let (x, gram) = (stacks.memory[0], stacks.memory[2])
    var (polynomial, total, spare) = (stacks.memory[3], stacks.memory[4], stacks.memory[5])
    square(stacks, of: x, into: gram)
    for step in 0..<5 {
      quintic(stacks, of: gram, into: polynomial)
      if step > 0 {
        product(stacks, spare, .init(polynomial), .init(total))
        (total, spare) = (spare, total)
      }
      if step < 4 {
        product(stacks, spare, .init(polynomial), .init(gram))
        product(stacks, gram, .init(spare), .init(polynomial))
      }
      if step == 0 { (total, polynomial) = (polynomial, total) }
    }
    product(stacks, of: total, x, into: stacks.memory[1])
    return stacks.memory[1]
  }
}

/// Working memory of matrices of one shape that are moved together, one below the other: see `muonShapes`.
private struct MuonStacks {
  let memory: [View]
  /// Matrices.
  let count: Int
  /// Whether they have more rows than columns.
  let isTall: Bool
}
