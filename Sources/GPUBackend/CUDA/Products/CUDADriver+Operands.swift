import Tensor

/// Products of matrices that the library does not take as they are: slow, and right.
extension CUDADriver {
  /// Calls `body` with a product whose operands have one type and whose rows begin on 16 bytes.
  ///
  /// What does not is copied, whatever the library might make of it: the alignment of a view differs
  /// between a full pass and a step of decoding, and with it would the algorithm, and the bits.
  func withFittingOperands(
    _ product: GPUProduct, _ body: (GPUProduct) throws(DeviceError) -> Void
  ) throws(DeviceError) {
    let (a, b, c) = (product.a, product.b, product.c)
    let input = a.view.buffer.type == b.view.buffer.type ? a.view.buffer.type : .float32
    // Products of float32 end in float32.
    let output = input == .float32 ? .float32 : c.buffer.type
    if Self.fits(a.view, input), Self.fits(b.view, input), Self.fits(c, output) {
      return try body(product)
    }
    var borrowed: [(UnsafeMutableRawPointer, Int)] = []
    defer { for (address, bytes) in borrowed { free(address, bytes: bytes) } }
    func fitting(_ view: View, _ type: NumberType) throws(DeviceError) -> View {
      if Self.fits(view, type) { return view }
      let stride = ProductLibrary.stride(view.columns, type)
      let bytes = max(view.rows, 1) * stride * type.bytes
      let address = try allocate(bytes: bytes)
      borrowed.append((address, bytes))
      let buffer = Buffer(
        address: address, count: max(view.rows, 1) * stride, type: type, home: .device, bytes: 0
      ) {}
      return View(buffer, offset: 0, rows: view.rows, columns: view.columns, stride: stride)
    }
    let (fittingA, fittingB) = (try fitting(a.view, input), try fitting(b.view, input))
    let fittingC = try fitting(c, output)
    if fittingA.buffer !== a.view.buffer { copy(a.view, to: fittingA) }
    if fittingB.buffer !== b.view.buffer { copy(b.view, to: fittingB) }
    let hasOwnC = fittingC.buffer !== c.buffer
    if hasOwnC, product.accumulate { copy(c, to: fittingC) }
    try body(
      GPUProduct(
        fittingC, .init(fittingA, isTransposed: a.isTransposed),
        .init(fittingB, isTransposed: b.isTransposed), accumulate: product.accumulate,
        rowsAreIndependent: product.rowsAreIndependent, parts: product.parts,
        partsAreIndependent: product.partsAreIndependent))
    if hasOwnC { copy(fittingC, to: c) }
  }

  private static func fits(_ view: View, _ type: NumberType) -> Bool {
    let alignment = ProductLibrary.alignment
    return view.buffer.type == type && Int(bitPattern: view.address) % alignment == 0
      && (view.rows <= 1 || view.stride * type.bytes % alignment == 0)
  }

  private func copy(_ source: View, to target: View) {
    launch(
      GPUKernel("memory", "copy_matrix"), grid: .eights(of: source), target.matrix, source.matrix)
  }

  func fillWithZeros(_ x: View) {
    launch(GPUKernel("memory", "fill_matrix"), grid: .eights(of: x), x.matrix, Float(0))
  }
}
