import Foundation
import Tensor

/// Shows that an algorithm keeps its bits: the same every time, of a row whatever rows are computed with
/// it, and of a part however many there are.
///
/// The library promises neither.
struct ProductTest {
  let library: ProductLibrary
  let transfer: CUDATransfer
  let kind: ProductKind
  /// Rows of the test; more than any tile has, and no multiple of one.
  private static let rows = 333
  private static let depth = 2_048
  /// Parts of the test, where any number of them is one kind.
  static let parts = 3

  /// Bytes of a card that the test of a product takes, at most.
  static func bytes(_ size: GPUProductSize) -> Int {
    let rows = min(ProductKind.rounded(min(size.rows, rows)), rows)
    let depth = size.isOverPositions ? min(ProductKind.rounded(size.depth), depth) : size.depth
    func bytes(_ rows: Int, _ columns: Int, _ type: NumberType) -> Int {
      size.parts * rows * ProductLibrary.stride(columns, type) * type.bytes
    }
    // An operand may be stored either way, each with its own gaps between rows.
    return max(bytes(rows, depth, size.input), bytes(depth, rows, size.input))
      + max(bytes(depth, size.columns, size.input), bytes(size.columns, depth, size.input))
      + bytes(rows, size.columns, size.output)
  }

  /// Whether it does.
  ///
  /// - Throws: What the card could not do.
  func passes(_ candidate: ProductLibrary.Candidate) throws(DeviceError) -> Bool {
    let rows = min(kind.rows, Self.rows)
    let depth = kind.aIsTransposed ? min(kind.depth, Self.depth) : kind.depth
    let parts = kind.partsAreIndependent ? Self.parts : kind.parts
    let sizes = kind.rowsAreIndependent ? [1, 2, 63, rows] : [rows]
    let numbers = kind.partsAreIndependent ? [1, parts, kind.parts] : [parts]
    for (rows, parts) in sizes.map({ ($0, parts) }) + numbers.map({ (rows, $0) }) {
      guard library.accepts(candidate, kind, rows: rows, depth: depth, parts: parts) else {
        return false
      }
    }
    var taken: [(UnsafeMutableRawPointer, Int)] = []
    defer { for (address, bytes) in taken { transfer.memory.free(address, bytes: bytes) } }
    func place(
      _ shape: (rows: Int, columns: Int), _ type: NumberType
    ) throws(DeviceError) -> ProductLibrary.Operand {
      let stride = ProductLibrary.stride(shape.columns, type)
      let bytes = parts * shape.rows * stride * type.bytes
      let address = try transfer.memory.allocate(bytes: bytes)
      taken.append((address, bytes))
      return ProductLibrary.Operand(
        address: address, type: type, rows: shape.rows, columns: shape.columns, stride: stride,
        parts: parts)
    }
    let a = try place(kind.shapeOfA(rows: rows, depth: depth), kind.input)
    let b = try place(kind.shapeOfB(depth: depth), kind.input)
    let c = try place((rows, kind.columns), kind.output)
    for (operand, seed) in [(a, 1), (b, 2)] { fill(operand, seed: seed) }

    let bytes = c.parts * c.rows * c.stride * c.type.bytes
    let (together, again) = (Self.memory(bytes), Self.memory(bytes))
    defer {
      together.deallocate()
      again.deallocate()
    }
    guard try compute(candidate, c, a, b, into: together) else { return false }
    for _ in 0..<2 {
      guard try compute(candidate, c, a, b, into: again), Self.areEqual(again, together) else {
        return false
      }
    }
    if kind.partsAreIndependent {
      for part in 0..<parts {
        let bytes = c.rows * c.stride * c.type.bytes
        let expected = UnsafeMutableRawBufferPointer(
          rebasing: together[part * bytes..<(part + 1) * bytes])
        let alone = UnsafeMutableRawBufferPointer(rebasing: again[..<bytes])
        guard
          try compute(candidate, one(c, part), one(a, part), one(b, part), into: alone),
          Self.areEqual(alone, expected)
        else { return false }
      }
    }
    guard kind.rowsAreIndependent, !kind.aIsTransposed else { return true }
    for range in [0..<1, 1..<2, 17..<18, rows - 1..<rows, 37..<100, 128..<rows] {
      let bytes = c.stride * c.type.bytes
      let expected = UnsafeMutableRawBufferPointer(
        rebasing: together[range.lowerBound * bytes..<range.upperBound * bytes])
      let alone = UnsafeMutableRawBufferPointer(rebasing: again[..<expected.count])
      guard try compute(candidate, slice(c, range), slice(a, range), b, into: alone),
        Self.areEqual(alone, expected)
      else { return false }
    }
    return true
  }

  private static func memory(_ bytes: Int) -> UnsafeMutableRawBufferPointer {
    .allocate(byteCount: bytes, alignment: 16)
  }

  private static func areEqual(
    _ a: UnsafeMutableRawBufferPointer, _ b: UnsafeMutableRawBufferPointer
  ) -> Bool {
    guard let first = a.baseAddress, let second = b.baseAddress else { return a.count == b.count }
    return a.count == b.count && memcmp(first, second, a.count) == 0
  }

  private func slice(
    _ x: ProductLibrary.Operand, _ range: Range<Int>
  ) -> ProductLibrary.Operand {
    ProductLibrary.Operand(
      address: x.address + range.lowerBound * x.stride * x.type.bytes, type: x.type,
      rows: range.count, columns: x.columns, stride: x.stride)
  }

  /// One of several matrices.
  private func one(_ x: ProductLibrary.Operand, _ part: Int) -> ProductLibrary.Operand {
    ProductLibrary.Operand(
      address: x.address + part * x.rows * x.stride * x.type.bytes, type: x.type, rows: x.rows,
      columns: x.columns, stride: x.stride)
  }

  /// Reads the bytes of a product, gaps between rows included.
  ///
  /// - Returns: Whether the library computes it.
  private func compute(
    _ candidate: ProductLibrary.Candidate, _ c: ProductLibrary.Operand, _ a: ProductLibrary.Operand,
    _ b: ProductLibrary.Operand, into bytes: UnsafeMutableRawBufferPointer
  ) throws(DeviceError) -> Bool {
    // What an earlier product left must not pass for this one.
    transfer.fill(c.address, word: .max, count: bytes.count / 4)
    guard library.multiply(kind, candidate, c: c, a: a, b: b, accumulate: false) == 0 else {
      return false
    }
    try transfer.copyOut(c.address, into: bytes)
    return true
  }

  private func fill(_ x: ProductLibrary.Operand, seed: Int) {
    let piece = Self.pieces[(x.type == .brain16 ? 2 : 0) + seed - 1]
    let total = x.parts * x.rows * x.stride * x.type.bytes
    piece.withUnsafeBytes {
      for start in stride(from: 0, to: total, by: piece.count) {
        transfer.copyIn(
          UnsafeRawBufferPointer(rebasing: $0[..<min(piece.count, total - start)]),
          to: x.address + start)
      }
    }
  }

  /// Numbers between -1 and 1, all of them with other bits: of two seeds as float32, then as bfloat16.
  ///
  /// Drawn once, as every product of a model is tested before its first step.
  private static let pieces: [[UInt8]] = [1, 2, 1, 2].enumerated().map { place, seed in
    var random = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15
    let bytes = place < 2 ? 4 : 2
    return [UInt8](unsafeUninitializedCapacity: bytes * numbers) { target, count in
      for index in 0..<numbers {
        random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        let bits = (Float(Int32(truncatingIfNeeded: random >> 32)) * 0x1p-31).bitPattern
        for byte in 0..<bytes {
          target[bytes * index + byte] = UInt8(
            truncatingIfNeeded: bits >> UInt32(8 * (byte + 4 - bytes)))
        }
      }
      count = bytes * numbers
    }
  }

  /// No multiple of a row.
  private static let numbers = (1 << 18) - 1
}
