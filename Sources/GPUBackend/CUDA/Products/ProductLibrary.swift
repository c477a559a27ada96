import CCUDA
import Tensor

/// cuBLASLt on one card, in terms of row-major matrices.
///
/// The library thinks in columns. A row-major matrix is the transpose of a column-major one with the
/// same memory, so `c = a b` is asked for as `cᵀ = bᵀ aᵀ`: its first operand is our `b`, its second our
/// `a`, each transposed where ours is.
final class ProductLibrary: @unchecked Sendable {
  /// Matrices in memory, one below the other: row-major, `stride` numbers from row to row.
  struct Operand {
    let address: UnsafeMutableRawPointer
    let type: NumberType
    let rows: Int
    let columns: Int
    let stride: Int
    var parts = 1
  }

  typealias Candidate = cublasLtMatmulHeuristicResult_t

  /// What every product may use; asking for as much each time keeps the choice the same.
  static let workspaceBytes = 32 << 20
  /// What every operand lies on.
  static let alignment = 16

  private let context: CUDAContext
  private let functions: CUBLASLtFunctions
  private let handle: cublasLtHandle_t
  let workspace: UnsafeMutableRawPointer
  /// By transposition of `a`, then of `b`.
  private let descriptions: [cublasLtMatmulDesc_t]

  init(
    _ context: CUDAContext, _ functions: CUBLASLtFunctions, workspace: UnsafeMutableRawPointer
  ) throws(DeviceError) {
    self.context = context
    self.functions = functions
    self.workspace = workspace
    context.enter()
    var handle: cublasLtHandle_t?
    var status = functions.cublasLtCreate(&handle)
    var descriptions: [cublasLtMatmulDesc_t] = []
    for number in 0..<4 where status == CUBLAS_STATUS_SUCCESS {
      // Sums and the factors in single precision; no TF32.
      var description: cublasLtMatmulDesc_t?
      status = functions.cublasLtMatmulDescCreate(
        &description, cublasComputeType_t(CUBLAS_COMPUTE_32F), cudaDataType(CUDA_R_32F))
      for (attribute, isTransposed) in [
        (CUBLASLT_MATMUL_DESC_TRANSA, number & 1 != 0),
        (CUBLASLT_MATMUL_DESC_TRANSB, number & 2 != 0),
      ] where status == CUBLAS_STATUS_SUCCESS {
        var operation = Int32(isTransposed ? CUBLAS_OP_T : CUBLAS_OP_N)
        status = functions.cublasLtMatmulDescSetAttribute(
          description, cublasLtMatmulDescAttributes_t(attribute), &operation, 4)
      }
      if let description { descriptions.append(description) }
    }
    guard status == CUBLAS_STATUS_SUCCESS, let handle else {
      throw .failed(
        device: context.card.name,
        problem:
          "cuBLASLt \(functions.cublasLtGetVersion()) does not start (status \(status)); run "
          + "scripts/setup.sh --cuda for one that fits the driver")
    }
    self.handle = handle
    self.descriptions = descriptions
  }

  deinit {
    context.enter()
    for description in descriptions { _ = functions.cublasLtMatmulDescDestroy(description) }
    _ = functions.cublasLtDestroy(handle)
  }

  /// Version of the library, as a number.
  var version: Int { functions.cublasLtGetVersion() }

  private func description(_ kind: ProductKind) -> cublasLtMatmulDesc_t {
    descriptions[(kind.bIsTransposed ? 1 : 0) + (kind.aIsTransposed ? 2 : 0)]
  }

  /// What the library proposes for a kind of product, best first, without algorithms that cut the depth
  /// into parts which meet in any order.
  func candidates(_ kind: ProductKind) -> [Candidate] {
    guard kind.input == .float32 else { return candidates(kind, implementations: .max) }
    // Whatever the environment asks for.
    let exact = candidates(kind, implementations: ~UInt64(CCUDA_INPUT_TF32))
    return exact.isEmpty ? candidates(kind, implementations: .max) : exact
  }

  /// - Parameters:
  ///   - kind: Types, sizes and transpositions.
  ///   - implementations: Bits of how products may be computed.
  private func candidates(_ kind: ProductKind, implementations: UInt64) -> [Candidate] {
    context.enter()
    var preference: cublasLtMatmulPreference_t?
    guard functions.cublasLtMatmulPreferenceCreate(&preference) == CUBLAS_STATUS_SUCCESS else {
      return []
    }
    defer { _ = functions.cublasLtMatmulPreferenceDestroy(preference) }
    func set<Value: BitwiseCopyable>(_ attribute: Int, _ value: Value) {
      var value = value
      _ = functions.cublasLtMatmulPreferenceSetAttribute(
        preference, cublasLtMatmulPreferenceAttributes_t(attribute), &value,
        MemoryLayout<Value>.size)
    }
    set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, UInt64(Self.workspaceBytes))
    set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, UInt32(CUBLASLT_REDUCTION_SCHEME_NONE))
    for attribute in [
      CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
      CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
    ] { set(attribute, UInt32(Self.alignment)) }
    set(CUBLASLT_MATMUL_PREF_IMPL_MASK, implementations)
    var results = [Candidate](repeating: Candidate(), count: 24)
    var found: Int32 = 0
    let status = withLayouts(
      kind, rows: kind.rows, depth: kind.depth, parts: kind.parts
    ) { a, b, c in
      functions.cublasLtMatmulAlgoGetHeuristic(
        handle, description(kind), b, a, c, c, preference, Int32(results.count), &results, &found)
    }
    guard status == CUBLAS_STATUS_SUCCESS else { return [] }
    return results.prefix(Int(found)).filter {
      $0.state == CUBLAS_STATUS_SUCCESS && $0.workspaceSize <= Self.workspaceBytes
        && configuration($0, CUBLASLT_ALGO_CONFIG_SPLITK_NUM) <= 1
        && configuration($0, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME)
          == CUBLASLT_REDUCTION_SCHEME_NONE
    }
  }

  /// A number of an algorithm's configuration; 0 if it has none.
  func configuration(_ candidate: Candidate, _ attribute: Int) -> Int {
    var algorithm = candidate.algo
    var value: UInt32 = 0
    var written = 0
    let status = functions.cublasLtMatmulAlgoConfigGetAttribute(
      &algorithm, cublasLtMatmulAlgoConfigAttributes_t(attribute), &value, 4, &written)
    return status == CUBLAS_STATUS_SUCCESS ? Int(value) : 0
  }

  /// Whether an algorithm computes products of other sizes too.
  func accepts(
    _ candidate: Candidate, _ kind: ProductKind, rows: Int, depth: Int, parts: Int
  ) -> Bool {
    context.enter()
    var algorithm = candidate.algo
    var result = Candidate()
    let status = withLayouts(kind, rows: rows, depth: depth, parts: parts) { a, b, c in
      functions.cublasLtMatmulAlgoCheck(
        handle, description(kind), b, a, c, c, &algorithm, &result)
    }
    return status == CUBLAS_STATUS_SUCCESS && result.workspaceSize <= Self.workspaceBytes
  }

  /// Computes `c = a b`, or `c += a b`.
  ///
  /// - Parameters:
  ///   - kind: Types and transpositions.
  ///   - candidate: The algorithm.
  ///   - c: Rows and columns of the result.
  ///   - a: As it lies in memory, like `b`.
  ///   - b: On 16 bytes, as are its rows; so is all else.
  ///   - accumulate: Whether to add to what is there.
  /// - Returns: The library's status.
  func multiply(
    _ kind: ProductKind, _ candidate: Candidate, c: Operand, a: Operand, b: Operand,
    accumulate: Bool
  ) -> cublasStatus_t {
    context.enter()
    var algorithm = candidate.algo
    var one: Float = 1
    var factor: Float = accumulate ? 1 : 0
    return withLayout(a) { layoutA in
      withLayout(b) { layoutB in
        withLayout(c) { layoutC in
          functions.cublasLtMatmul(
            handle, description(kind), &one, b.address, layoutB, a.address, layoutA, &factor,
            c.address, layoutC, c.address, layoutC, &algorithm, workspace, Self.workspaceBytes,
            context.stream)
        }
      }
    }
  }

  /// Calls `body` with layouts of `a`, `b` and `c` whose rows follow one another, on 16 bytes.
  private func withLayouts(
    _ kind: ProductKind, rows: Int, depth: Int, parts: Int,
    _ body: (cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t) ->
      cublasStatus_t
  ) -> cublasStatus_t {
    func operand(_ shape: (rows: Int, columns: Int), _ type: NumberType) -> Operand {
      Operand(
        address: workspace, type: type, rows: shape.rows, columns: shape.columns,
        stride: Self.stride(shape.columns, type), parts: parts)
    }
    return withLayout(operand(kind.shapeOfA(rows: rows, depth: depth), kind.input)) { a in
      withLayout(operand(kind.shapeOfB(depth: depth), kind.input)) { b in
        withLayout(operand((rows, kind.columns), kind.output)) { c in body(a, b, c) }
      }
    }
  }

  private func withLayout(
    _ x: Operand, _ body: (cublasLtMatrixLayout_t) -> cublasStatus_t
  ) -> cublasStatus_t {
    var layout: cublasLtMatrixLayout_t?
    let status = functions.cublasLtMatrixLayoutCreate(
      &layout, cudaDataType(x.type == .brain16 ? CUDA_R_16BF : CUDA_R_32F), UInt64(x.columns),
      UInt64(x.rows), Int64(x.stride))
    guard status == CUBLAS_STATUS_SUCCESS, let layout else { return status }
    defer { _ = functions.cublasLtMatrixLayoutDestroy(layout) }
    guard x.parts > 1 else { return body(layout) }
    func set<Value: BitwiseCopyable>(_ attribute: Int, _ value: Value) -> cublasStatus_t {
      var value = value
      return functions.cublasLtMatrixLayoutSetAttribute(
        layout, cublasLtMatrixLayoutAttribute_t(attribute), &value, MemoryLayout<Value>.size)
    }
    let counted = set(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, Int32(x.parts))
    let placed = set(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, Int64(x.rows * x.stride))
    guard counted == CUBLAS_STATUS_SUCCESS, placed == CUBLAS_STATUS_SUCCESS else {
      return max(counted, placed)
    }
    return body(layout)
  }

  /// Numbers from row to row, so that every row begins on 16 bytes.
  static func stride(_ columns: Int, _ type: NumberType) -> Int {
    let step = alignment / type.bytes
    return (max(columns, 1) + step - 1) / step * step
  }
}
