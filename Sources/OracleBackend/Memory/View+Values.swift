package import Tensor

/// Numbers of views whose memory the oracle made; only this module follows their addresses.
extension View {
  private var first: UnsafeMutablePointer<Double> {
    precondition(
      buffer.type == .float64 && buffer.home == .device, "memory that the oracle did not make")
    return buffer.address.assumingMemoryBound(to: Double.self)
  }

  /// The elements, row after row.
  var values: [Double] {
    get {
      let first = first
      var values: [Double] = []
      values.reserveCapacity(count)
      forEachPiece { place, width in
        values.append(contentsOf: UnsafeBufferPointer(start: first + place, count: width))
      }
      return values
    }
    nonmutating set {
      precondition(newValue.count == count, "\(newValue.count) numbers for \(count) elements")
      let first = first
      var index = 0
      forEachPiece { place, width in
        for column in 0..<width { first[place + column] = newValue[index + column] }
        index += width
      }
    }
  }

  /// The elements as one array a row.
  var nested: [[Double]] {
    get {
      let values = values
      return (0..<rows).map { Array(values[$0 * columns..<($0 + 1) * columns]) }
    }
    nonmutating set { values = Array(newValue.joined()) }
  }

  /// Calls `body` with the place and the width of every piece of every row, in order.
  private func forEachPiece(_ body: (_ place: Int, _ width: Int) -> Void) {
    for row in 0..<rows {
      for column in Swift.stride(from: 0, to: columns, by: max(1, bandWidth)) {
        body(offset(ofColumn: column) + row * stride, bandWidth)
      }
    }
  }
}

/// The same numbers for tests, with all their digits.
extension OracleKernels {
  /// The elements, row after row.
  package func readDoubles(_ x: View) -> [Double] { x.values }

  /// Writes the elements, row after row.
  package func writeDoubles(_ numbers: [Double], to x: View) { x.values = numbers }
}
