package import Tensor

/// What operations borrow; all of it is one piece, used by one after the other.
extension GPUKernels {
  package func workingNeed(_ body: () -> Void) -> WorkingNeed {
    let recorder = GPUScratch.Recorder()
    GPUScratch.$recorder.withValue(recorder, operation: body)
    // What is planned will be launched: compiled meanwhile, it is there when the first step wants it.
    driver.prepare(Array(recorder.kernels))
    return WorkingNeed(shared: (recorder.most + 3) / 4)
  }

  package func workingBytes(_ plan: WorkPlan) -> Int {
    // Hyperplanes of training and of evaluation, a set for every layer.
    let drawn = plan.drawn > 0 ? 2 * plan.layers * bytes(count: plan.drawn) : 0
    return borrowedBytes(plan) + drawn + driver.ownBytes(products(plan))
  }

  /// Bytes of the piece that operations borrow.
  private func borrowedBytes(_ plan: WorkPlan) -> Int {
    let embedding = max(plan.positions, plan.candidates) * (4 + 8 + 16 + 4 * plan.width)
    // Of several ranks each moves some of the matrices, in other groups.
    let muon = plan.muon.map { shape in
      let equal = plan.muon.count { $0 == shape }
      let count = min(
        equal, Self.mostMuonMatrices(rows: shape.rows, columns: shape.columns, form: plan.muonForm))
      return Self.muonShapes(
        rows: shape.rows, columns: shape.columns, count: count, form: plan.muonForm
      ).reduce(8 * 513 * count) { $0 + 4 * $1.rows * $1.columns }
    }
    func slices(_ product: WorkPlan.Product, positions: Int) -> Int {
      let (rows, columns) = (product.outputs, product.inputs)
      return DepthSlices(rows: rows, columns: columns, depth: positions)
        .bytes(rows: rows, columns: columns)
    }
    func head(_ vocabulary: Int) -> Int {
      let logits = LogitsPlan(vocabulary: vocabulary, type: type(for: .compute))
      let block = min(plan.positions, logits.blockRows)
      let weights = WorkPlan.Product(outputs: vocabulary, inputs: plan.width)
      return block * logits.rowBytes + slices(weights, positions: block)
    }
    // Scores have logits of float32.
    let scores = LogitsPlan(vocabulary: plan.vocabulary, type: .float32)
    let gradients = plan.products.map { slices($0, positions: plan.positions) }
    let most = [
      head(plan.vocabulary), plan.candidates > 0 ? head(plan.candidates) : 0,
      min(plan.scored, scores.blockRows) * scores.rowBytes, gradients.max() ?? 0, embedding,
      4 * plan.attention.shared, muon.max() ?? 0,
    ]
    return (most.max() ?? 0) + (1 << 12)
  }

  /// The products of a model's steps, by the width of the result, the depth of the sum and their types.
  private func products(_ plan: WorkPlan) -> [GPUProductSize] {
    let compute = type(for: .compute)
    let head = WorkPlan.Product(outputs: plan.vocabulary, inputs: plan.width)
    let logits = LogitsPlan(vocabulary: plan.vocabulary, type: compute)
    return muonProducts(plan)
      + (plan.products + [head]).flatMap { shape in
        let isHead = shape.outputs == head.outputs
        let positions = isHead ? min(plan.positions, logits.blockRows) : plan.positions
        let slices = DepthSlices(rows: shape.outputs, columns: shape.inputs, depth: positions)
        return [
          GPUProductSize(.max, shape.outputs, depth: shape.inputs, compute, .float32),
          GPUProductSize(positions, shape.inputs, depth: shape.outputs, compute, compute),
          GPUProductSize(
            shape.outputs, shape.inputs, depth: slices.depth, compute, .float32,
            isOverPositions: true, parts: slices.count),
        ]
      }
  }

  /// The products of Muon, as they are tested.
  private func muonProducts(_ plan: WorkPlan) -> [GPUProductSize] {
    plan.muon.flatMap { shape in
      let (short, long) = (min(shape.rows, shape.columns), max(shape.rows, shape.columns))
      return [(short, short, long), (short, short, short), (shape.rows, shape.columns, short)].map {
        // The depth of a transposed operand is rounded up in the test, whatever it is.
        GPUProductSize(
          $0.0, $0.1, depth: $0.2, .float32, .float32,
          isOverPositions: shape.rows > shape.columns && $0.2 == long, parts: ProductTest.parts)
      }
    }
  }

  package func reserveWorkingMemory(_ plan: WorkPlan) throws(DeviceError) {
    releaseWorkingMemory()
    scratch.lend([borrowedBytes(plan)]) { _ in }
    // Says so if there was not as much.
    try synchronize()
  }
}
