package import CUDASource
package import Tensor

extension View {
  /// The first number on the card.
  package var address: UnsafeMutableRawPointer {
    precondition(buffer.home == .device, "memory that no card has")
    return buffer.address + offset * buffer.type.bytes
  }

  /// The same matrix as kernels take it; its rows lie in one piece.
  package var matrix: Matrix {
    precondition(hasOneBand, "[\(rows), \(columns)] in bands")
    let eight = 8 * buffer.type.bytes
    let isAligned =
      Int(bitPattern: address) % 16 == 0 && (stride * buffer.type.bytes % 16 == 0 || rows <= 1)
      && eight % 16 == 0
    return Matrix(
      base: address, stride: Int64(stride), rows: Int32(rows), columns: Int32(columns),
      type: numberType, aligned: isAligned ? 1 : 0)
  }

  /// How kernels are told the type.
  package var numberType: Int32 {
    switch buffer.type {
    case .float32: Int32(NUMBER_FLOAT)
    case .brain16: Int32(NUMBER_BF16)
    case .float64, .half: preconditionFailure("kernels know no \(buffer.type.rawValue)")
    }
  }
}
