import Model
import Tensor

/// The numbers of a weight as files have them.
struct WeightRows {
  /// Bytes that are made at a time: a table may be half of a model.
  private static let partCount = 1 << 20

  let parameters: Parameters

  /// Calls `append` with the little-endian bytes of a weight, part by part.
  ///
  /// - Parameters:
  ///   - slot: The weight.
  ///   - type: Of every number.
  ///   - row: The row that stands at a place of the file; of a vector, the number.
  ///   - append: Takes the bytes.
  /// - Throws: `ExportError` where a number is too large for the type.
  func forEachPart(
    of slot: ParameterSlot, as type: NumberType, row: (Int) -> Int = { $0 },
    _ append: ([UInt8]) throws -> Void
  ) throws {
    try parameters.device.withFloats(of: parameters.view(slot)) { bytes in
      let numbers = bytes.bindMemory(to: Float.self)
      var part: [UInt8] = []
      let (rows, columns) =
        slot.role == .vector ? (slot.columns, 1) : (slot.rows, slot.columns)
      for place in 0..<rows {
        let first = row(place) * columns
        for number in numbers[first..<first + columns] {
          if type == .float32 {
            withUnsafeBytes(of: number.bitPattern.littleEndian) { part.append(contentsOf: $0) }
          } else {
            let bits = type.narrowed(number)
            guard type != .half || bits & 0x7FFF != 0x7C00 else {
              throw ExportError.invalid(
                "\(slot.name) has the value \(number), which float16 cannot hold; export bf16")
            }
            withUnsafeBytes(of: bits.littleEndian) { part.append(contentsOf: $0) }
          }
        }
        if part.count >= Self.partCount {
          try append(part)
          part.removeAll(keepingCapacity: true)
        }
      }
      try append(part)
    }
  }
}
