import Host
package import Tensor

/// Memory of this process: work is done when a call returns, and nothing has to be copied to be read.
extension CPUKernels {
  package func type(for use: NumberUse) -> NumberType { .float32 }

  package func makeBuffer(count: Int, for use: NumberUse) throws(DeviceError) -> Buffer {
    try HostMemory.allocate(count: count, device: name)
  }

  package func bytes(count: Int, for use: NumberUse) -> Int { HostMemory.bytes(count: count) }

  package var freeBytes: Int? { nil }

  package func borrow(
    _ bytes: UnsafeRawBufferPointer, type: NumberType, release: @escaping @Sendable () -> Void
  ) -> Buffer? {
    guard type == .float32, let base = bytes.baseAddress, Int(bitPattern: base) % 4 == 0 else {
      return nil
    }
    return Buffer(
      address: UnsafeMutableRawPointer(mutating: base), count: bytes.count / 4, home: .host,
      bytes: 0, release: release)
  }

  package func fill(_ x: View, with value: Float) { x.fill(value) }

  package func copy(_ source: View, to destination: View) { destination.copy(from: source) }

  package func read(_ x: View, into numbers: inout [Float]) {
    guard numbers.count != x.count else { return x.read(into: &numbers) }
    numbers = x.elements
  }

  package func write(_ numbers: [Float], to x: View) { x.write(numbers) }

  package func write(_ bytes: UnsafeRawBufferPointer, type: NumberType, to x: View) {
    precondition(x.isContiguous && bytes.count == x.count * type.bytes, "bytes of another shape")
    type.widen(bytes, into: UnsafeMutableBufferPointer(start: x.base, count: x.count))
  }

  package func withFloats(of x: View, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
    precondition(x.isContiguous, "bytes of a strided view")
    try body(UnsafeRawBufferPointer(start: x.base, count: x.count * 4))
  }

  package func withMutableFloats(
    of x: View, reading read: [Range<Int>], writing written: [Range<Int>],
    _ body: (UnsafeMutableRawBufferPointer) throws -> Void
  ) throws {
    precondition(x.isContiguous, "bytes of a strided view")
    try body(UnsafeMutableRawBufferPointer(start: x.base, count: x.count * 4))
  }

  package func place(_ numbers: [Int32]) -> Indices { Indices(numbers) }

  package func synchronize() {}

  package func workingNeed(_ body: () -> Void) -> WorkingNeed { WorkingMemory.need(body) }

  package func workingBytes(_ plan: WorkPlan) -> Int { WorkingMemory.bytes(plan) }

  package func reserveWorkingMemory(_ plan: WorkPlan) throws(DeviceError) {
    try ScratchPool.reserve(WorkingMemory.counts(plan), device: name)
  }

  package func releaseWorkingMemory() { ScratchPool.drain() }
}
