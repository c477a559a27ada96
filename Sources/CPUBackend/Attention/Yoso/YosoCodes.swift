import Host
import Tensor

/// Where the forward pass leaves what the backward pass needs, inside `saved`.
///
/// Rows `0..<H` are the norms of X. Then, for every head, `codeRows` rows of bytes: one plane of N
/// codes for each hash of the queries, then for each hash of the keys, in one or two bytes.
struct YosoSaved {
  private let saved: View
  private let shape: YosoShape

  init(_ saved: View, _ shape: YosoShape) {
    self.saved = saved
    self.shape = shape
  }

  /// Norms of the rows of X from position `first` on.
  func norms(head: Int, first: Int) -> UnsafeMutablePointer<Float> {
    saved.base + head * saved.stride + first
  }

  /// Codes of one head and sequence.
  func codes(head: Int, first: Int) -> YosoCodes {
    let base = saved.base + (shape.heads + head * shape.codeRows) * saved.stride
    return YosoCodes(
      base: UnsafeMutableRawPointer(base), first: first, positions: saved.columns,
      rowBytes: saved.stride * MemoryLayout<Float>.stride, hashes: shape.hashes,
      codeBytes: shape.codeBytes)
  }
}

/// Hash codes of the queries and keys of one sequence and head, one row of codes for each hash.
struct YosoCodes {
  let base: UnsafeMutableRawPointer
  let first: Int
  /// Codes of a plane.
  let positions: Int
  /// Bytes between the rows of floats that hold `4 / codeBytes` planes each.
  let rowBytes: Int
  let hashes: Int
  let codeBytes: Int

  private func plane(_ index: Int) -> UnsafeMutableRawPointer {
    let perRow = 4 / codeBytes
    return base + index / perRow * rowBytes
      + (index % perRow * positions + first) * codeBytes
  }

  func queries(_ hash: Int) -> UnsafeMutableRawPointer { plane(hash) }
  func keys(_ hash: Int) -> UnsafeMutableRawPointer { plane(hashes + hash) }

  /// Codes of one hash of queries or keys, widened.
  func widen(
    _ codes: UnsafeMutableRawPointer, from start: Int, count: Int,
    into wide: UnsafeMutablePointer<Int32>
  ) {
    if codeBytes == 1 {
      let narrow = codes.assumingMemoryBound(to: UInt8.self) + start
      for index in 0..<count { wide[index] = Int32(narrow[index]) }
    } else {
      for index in 0..<count {
        wide[index] = Int32(
          codes.loadUnaligned(fromByteOffset: 2 * (start + index), as: UInt16.self))
      }
    }
  }
}

/// Computes hash codes: bit t of a code is the side of hyperplane t that a vector lies on.
///
/// Every product is a sum of fused multiply-adds in the order of the columns, so a code depends on its
/// own vector alone, and decoding finds the same.
struct YosoHasher {
  private static let group = 32  // hashes between two rounds of packing
  private let shape: YosoShape
  private let width: Int
  private let panel: UnsafeMutablePointer<Float>  // [D, 16]
  private let products: UnsafeMutablePointer<Float>  // [group · bits, 16]

  init(_ shape: YosoShape, width: Int, _ scratch: inout Scratch) {
    self.shape = shape
    self.width = width
    panel = scratch.take(width * 16)
    products = scratch.take(min(Self.group, shape.hashes) * shape.bits * 16)
  }

  /// Codes of all rows of a sequence, for queries or keys.
  func run(
    _ source: UnsafePointer<Float>, stride: Int, rows: Int, planes: UnsafePointer<Float>,
    planeStride: Int, codes: YosoCodes, ofKeys: Bool
  ) {
    for row in Swift.stride(from: 0, to: rows, by: 16) {
      let present = min(16, rows - row)
      packTransposed(
        panel, source + row * stride, sourceStride: stride, rows: present, width: width)
      for hash in Swift.stride(from: 0, to: shape.hashes, by: Self.group) {
        let count = min(Self.group, shape.hashes - hash)
        tileProduct(
          TileC(base: products, panelStride: 0, rowStride: 16),
          TileA(
            base: planes + hash * shape.bits * planeStride, rowStride: planeStride, kStride: 1),
          TileB(base: panel, panelStride: 0, kStride: 16), rows: count * shape.bits,
          panels: 1, k: width, accumulate: false)
        for index in 0..<count {
          let plane = ofKeys ? codes.keys(hash + index) : codes.queries(hash + index)
          pack(index, into: plane + row * shape.codeBytes, count: present)
        }
      }
    }
  }

  /// Gathers the bits of hash `index` of the group for up to 16 rows.
  private func pack(_ index: Int, into codes: UnsafeMutableRawPointer, count: Int) {
    var code = WideIntLanes.zero
    for bit in 0..<shape.bits {
      let product = loadWide(products + (index * shape.bits + bit) * 16)
      let value = WideIntLanes(repeating: 1 << Int32(bit))
      code |= WideIntLanes.zero.replacing(with: value, where: product .> 0)
    }
    // The products of this hash are read: their place takes the codes.
    let wide = UnsafeMutableRawPointer(products + index * shape.bits * 16)
    wide.storeBytes(of: code, as: WideIntLanes.self)
    if shape.codeBytes == 1 {
      for lane in 0..<count {
        codes.storeBytes(
          of: UInt8(truncatingIfNeeded: wide.load(fromByteOffset: 4 * lane, as: Int32.self)),
          toByteOffset: lane, as: UInt8.self)
      }
    } else {
      for lane in 0..<count {
        codes.storeBytes(
          of: UInt16(truncatingIfNeeded: wide.load(fromByteOffset: 4 * lane, as: Int32.self)),
          toByteOffset: 2 * lane, as: UInt16.self)
      }
    }
  }
}
