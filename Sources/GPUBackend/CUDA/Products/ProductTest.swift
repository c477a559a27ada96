import Tensor

/// Shows that an algorithm keeps its bits: the same every time, and of a row whatever rows are computed
/// with it.
///
/// The library promises neither.
struct ProductTest {
  let library: ProductLibrary
  let transfer: CUDATransfer
  let kind: ProductKind
  /// Rows of the test; more than any tile has, and no multiple of one.
  private static let rows = 333
  private static let depth = 2_048

  /// Whether it does.
  ///
  /// - Throws: What the card could not do.
  func passes(_ candidate: ProductLibrary.Candidate) throws(DeviceError) -> Bool {
    let rows = min(kind.rows, Self.rows)
    let depth = kind.aIsTransposed ? min(kind.depth, Self.depth) : kind.depth
    let sizes = kind.rowsAreIndependent ? [1, 2, 63, rows] : [rows]
    guard sizes.allSatisfy({ library.accepts(candidate, kind, rows: $0, depth: depth) }) else {
      return false
    }
    var taken: [(UnsafeMutableRawPointer, Int)] = []
    defer { for (address, bytes) in taken { transfer.memory.free(address, bytes: bytes) } }
    func place(
      _ shape: (rows: Int, columns: Int), _ type: NumberType
    ) throws(DeviceError) -> ProductLibrary.Operand {
      let stride = ProductLibrary.stride(shape.columns, type)
      let bytes = kind.parts * shape.rows * stride * type.bytes
      let address = try transfer.memory.allocate(bytes: bytes)
      taken.append((address, bytes))
      return ProductLibrary.Operand(
        address: address, type: type, rows: shape.rows, columns: shape.columns, stride: stride,
        parts: kind.parts)
    }
    let a = try place(kind.shapeOfA(rows: rows, depth: depth), kind.input)
    let b = try place(kind.shapeOfB(depth: depth), kind.input)
    let c = try place((rows, kind.columns), kind.output)
    for (operand, seed) in [(a, 1), (b, 2)] { fill(operand, seed: seed) }

    guard let together = try result(candidate, c, a, b) else { return false }
    for _ in 0..<2 {
      guard try result(candidate, c, a, b) == together else { return false }
    }
    guard kind.rowsAreIndependent, !kind.aIsTransposed else { return true }
    for range in [0..<1, 1..<2, 17..<18, rows - 1..<rows, 37..<100, 128..<rows] {
      let bytes = c.stride * c.type.bytes
      guard let alone = try result(candidate, slice(c, range), slice(a, range), b),
        alone[...] == together[range.lowerBound * bytes..<range.upperBound * bytes]
      else { return false }
    }
    return true
  }

  private func slice(
    _ x: ProductLibrary.Operand, _ range: Range<Int>
  ) -> ProductLibrary.Operand {
    ProductLibrary.Operand(
      address: x.address + range.lowerBound * x.stride * x.type.bytes, type: x.type,
      rows: range.count, columns: x.columns, stride: x.stride)
  }

  /// The bytes of a product, gaps between rows included; nil if the library refuses it.
  private func result(
    _ candidate: ProductLibrary.Candidate, _ c: ProductLibrary.Operand, _ a: ProductLibrary.Operand,
    _ b: ProductLibrary.Operand
  ) throws(DeviceError) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: c.parts * c.rows * c.stride * c.type.bytes)
    // What an earlier product left must not pass for this one.
    transfer.fill(c.address, word: .max, count: bytes.count / 4)
    guard library.multiply(kind, candidate, c: c, a: a, b: b, accumulate: false) == 0 else {
      return nil
    }
    var span = bytes.mutableSpan
    try span.withUnsafeMutableBytes { (target) throws(DeviceError) in
      try transfer.copyOut(c.address, into: target)
    }
    return bytes
  }

  /// Numbers between -1 and 1, all of them with other bits.
  private func fill(_ x: ProductLibrary.Operand, seed: Int) {
    let total = x.parts * x.rows * x.stride
    let piece = min(total, (1 << 18) - 1)
    var random = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15
    let numbers = (0..<piece).map { _ -> UInt32 in
      random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (Float(Int32(truncatingIfNeeded: random >> 32)) * 0x1p-31).bitPattern
    }
    let bytes: [UInt8] =
      x.type == .brain16
      ? numbers.flatMap { [UInt8(truncatingIfNeeded: $0 >> 16), UInt8($0 >> 24)] }
      : numbers.withUnsafeBytes { Array($0) }
    for start in stride(from: 0, to: total, by: piece) {
      let count = min(piece, total - start) * x.type.bytes
      bytes.withUnsafeBytes {
        transfer.copyIn(
          UnsafeRawBufferPointer(rebasing: $0[..<count]), to: x.address + start * x.type.bytes)
      }
    }
  }
}
