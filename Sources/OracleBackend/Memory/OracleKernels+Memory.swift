import Host
package import Tensor

/// Memory of this process that passes for a device's.
extension OracleKernels {
  package func type(for use: NumberUse) -> NumberType { .float64 }

  package func makeBuffer(count: Int, for use: NumberUse) throws(DeviceError) -> Buffer {
    try HostMemory.allocate(count: count, type: .float64, home: .device, device: name)
  }

  package func bytes(count: Int, for use: NumberUse) -> Int {
    HostMemory.bytes(count: count, type: .float64)
  }

  package var freeBytes: Int? { nil }

  /// Files hold single precision, which no kernel here reads.
  package func borrow(
    _ bytes: UnsafeRawBufferPointer, type: NumberType, release: @escaping @Sendable () -> Void
  ) -> Buffer? { nil }

  package func fill(_ x: View, with value: Float) {
    x.values = [Double](repeating: Double(value), count: x.count)
  }

  package func copy(_ source: View, to destination: View) {
    precondition(
      source.rows == destination.rows && source.columns == destination.columns,
      "[\(destination.rows), \(destination.columns)] cannot take "
        + "[\(source.rows), \(source.columns)]")
    destination.values = source.values
  }

  package func read(_ x: View, into numbers: inout [Float]) { numbers = x.values.map { Float($0) } }

  package func write(_ numbers: [Float], to x: View) { x.values = numbers.map { Double($0) } }

  package func write(_ bytes: UnsafeRawBufferPointer, type: NumberType, to x: View) {
    precondition(x.isContiguous && bytes.count == x.count * type.bytes, "bytes of another shape")
    var numbers = [Float](repeating: 0, count: x.count)
    numbers.withUnsafeMutableBufferPointer { type.widen(bytes, into: $0) }
    write(numbers, to: x)
  }

  package func withFloats(of x: View, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
    precondition(x.isContiguous, "bytes of a strided view")
    // A part at a time, as a device would send them.
    let part = 1 << 12
    let row = View(x.buffer, offset: x.offset, rows: 1, columns: x.count)
    for first in stride(from: 0, to: x.count, by: part) {
      let values = row.columns(first..<min(x.count, first + part)).values
      try values.map { Float($0).bitPattern.littleEndian }.withUnsafeBytes(body)
    }
  }

  package func place(_ numbers: [Int32]) -> Indices { Indices(numbers) }

  package func synchronize() {}

  /// Nothing that could be planned, so `body` is not run: matrices come and go with every call.
  package func workingNeed(_ body: () -> Void) -> WorkingNeed { WorkingNeed() }

  package func workingBytes(_ plan: WorkPlan) -> Int { 0 }

  package func reserveWorkingMemory(_ plan: WorkPlan) {}

  package func releaseWorkingMemory() {}
}
