import Tensor

/// Collision counts of a tile, 32 pairs of one-byte codes or 16 of two bytes in an instruction.
///
/// Query codes are stored so that the counts of eight neighbouring queries come out of every eighth
/// place: as words, byte b of word w belongs to query 8 b + w.
struct YosoCounts {
  private let queries: UnsafeMutableRawPointer  // [groups, hashes, 32 bytes]
  private let keys: UnsafeMutableRawPointer  // [L, hashes]
  private let hashes: Int
  private let codeBytes: Int

  /// Queries of one vector of codes.
  private var lanes: Int { 32 / codeBytes }

  init(_ shape: YosoShape, longest: Int, _ scratch: inout Scratch) {
    hashes = shape.hashes
    codeBytes = shape.codeBytes
    let lanes = 32 / shape.codeBytes
    queries = UnsafeMutableRawPointer(
      scratch.take((longest + lanes - 1) / lanes * shape.hashes * 8))
    keys = UnsafeMutableRawPointer(scratch.take((longest * hashes * codeBytes + 3) / 4))
  }

  /// Packs the codes of a sequence.
  func pack(_ codes: YosoCodes, length: Int) {
    for hash in 0..<hashes {
      if codeBytes == 1 {
        arrange(UInt8.self, hash, codes.queries(hash), codes.keys(hash), length)
      } else {
        arrange(UInt16.self, hash, codes.queries(hash), codes.keys(hash), length)
      }
    }
  }

  @inline(__always)
  private func arrange<Code: FixedWidthInteger>(
    _ type: Code.Type, _ hash: Int, _ queryCodes: UnsafeRawPointer, _ keyCodes: UnsafeRawPointer,
    _ length: Int
  ) {
    let bytes = MemoryLayout<Code>.size
    for row in 0..<length {
      let lane = row % lanes
      let place = (lane % 8) * (4 / bytes) + lane / 8
      let group = queries + (row / lanes * hashes + hash) * 32
      group.storeBytes(
        of: queryCodes.loadUnaligned(fromByteOffset: row * bytes, as: Code.self),
        toByteOffset: place * bytes, as: Code.self)
      keys.storeBytes(
        of: keyCodes.loadUnaligned(fromByteOffset: row * bytes, as: Code.self),
        toByteOffset: (row * hashes + hash) * bytes, as: Code.self)
    }
    // Lanes past the end count something; nobody reads it.
  }

  /// Writes the counts `[keys, rows]` of rows `row..<row + rows`, `row` a multiple of 32.
  func fill(
    _ weights: UnsafeMutablePointer<Float>, stride: Int, row: Int, rows: Int, keys range: Range<Int>
  ) {
    for first in Swift.stride(from: 0, to: rows, by: lanes) {
      let codes = queries + (row + first) / lanes * hashes * 32
      for key in range {
        let to = weights + (key - range.lowerBound) * stride + first
        if codeBytes == 1 {
          narrow(codes, keys + key * hashes, to)
        } else {
          wide(codes, keys + 2 * key * hashes, to)
        }
      }
    }
  }

  @inline(__always)
  private func narrow(
    _ queries: UnsafeRawPointer, _ keys: UnsafeRawPointer, _ counts: UnsafeMutablePointer<Float>
  ) {
    // A byte counts to 255; more hashes are added up as floats.
    for start in Swift.stride(from: 0, to: hashes, by: 255) {
      var count = SIMD32<UInt8>.zero
      for hash in start..<min(start + 255, hashes) {
        let own = (queries + 32 * hash).loadUnaligned(as: SIMD32<UInt8>.self)
        let other = SIMD32<UInt8>(repeating: keys.load(fromByteOffset: hash, as: UInt8.self))
        count = count &- unsafeBitCast(own .== other, to: SIMD32<UInt8>.self)
      }
      let words = unsafeBitCast(count, to: SIMD8<UInt32>.self)
      for part in 0..<4 {
        let value = whole((words &>> UInt32(8 * part)) & 0xFF)
        store(start == 0 ? value : value + load(counts + 8 * part), counts + 8 * part)
      }
    }
  }

  @inline(__always)
  private func wide(
    _ queries: UnsafeRawPointer, _ keys: UnsafeRawPointer, _ counts: UnsafeMutablePointer<Float>
  ) {
    for start in Swift.stride(from: 0, to: hashes, by: 65_535) {
      var count = SIMD16<UInt16>.zero
      for hash in start..<min(start + 65_535, hashes) {
        let own = (queries + 32 * hash).loadUnaligned(as: SIMD16<UInt16>.self)
        let other = SIMD16<UInt16>(
          repeating: keys.loadUnaligned(fromByteOffset: 2 * hash, as: UInt16.self))
        count = count &- unsafeBitCast(own .== other, to: SIMD16<UInt16>.self)
      }
      let words = unsafeBitCast(count, to: SIMD8<UInt32>.self)
      for part in 0..<2 {
        let value = whole((words &>> UInt32(16 * part)) & 0xFFFF)
        store(start == 0 ? value : value + load(counts + 8 * part), counts + 8 * part)
      }
    }
  }
}

/// Small whole numbers as floats, through the mantissa; a conversion compiles to scalar code.
@inline(__always)
private func whole(_ words: SIMD8<UInt32>) -> Lanes {
  unsafeBitCast(words | 0x4B00_0000, to: Lanes.self) - 8_388_608
}
