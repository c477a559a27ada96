package import Tensor

/// Memory of a card; every row of a matrix lies in one piece.
extension GPUKernels {
  package func type(for use: NumberUse) -> NumberType {
    switch (use, precision) {
    case (.master, _), (.compute, .float32): .float32
    case (.compute, .bfloat16): .brain16
    }
  }

  package func makeBuffer(count: Int, for use: NumberUse) throws(DeviceError) -> Buffer {
    let type = type(for: use)
    precondition(count >= 0, "a buffer of \(count) numbers")
    guard count <= Buffer.mostNumbers else {
      throw .outOfMemory(device: name, bytes: .max, held: Buffer.allocatedBytes)
    }
    let (driver, bytes) = (driver, Self.bytes(count: count, type: type))
    let address = try driver.allocate(bytes: bytes)
    driver.fill(address, word: 0, count: bytes / 4)
    let place = UInt(bitPattern: address)
    return Buffer(address: address, count: count, type: type, home: .device, bytes: bytes) {
      guard let address = UnsafeMutableRawPointer(bitPattern: place) else { return }
      driver.free(address, bytes: bytes)
    }
  }

  package func bytes(count: Int, for use: NumberUse) -> Int {
    Self.bytes(count: count, type: type(for: use))
  }

  package var freeBytes: Int? { driver.freeBytes }

  /// Cards hand out memory in pieces of 512 bytes.
  static func bytes(count: Int, type: NumberType) -> Int {
    (max(count, 1) * type.bytes + 511) / 512 * 512
  }

  /// A card reads nobody else's memory.
  package func borrow(
    _ bytes: UnsafeRawBufferPointer, type: NumberType, release: @escaping @Sendable () -> Void
  ) -> Buffer? { nil }

  package func fill(_ x: View, with value: Float) {
    if x.isContiguous, x.buffer.type == .float32 {
      driver.fill(x.address, word: value.bitPattern, count: x.count)
    } else {
      driver.launch(
        GPUKernel("memory", "fill_matrix"), grid: .eights(of: x), x.matrix, value)
    }
  }

  package func copy(_ source: View, to destination: View) {
    precondition(
      source.rows == destination.rows && source.columns == destination.columns,
      "[\(destination.rows), \(destination.columns)] cannot take "
        + "[\(source.rows), \(source.columns)]")
    driver.launch(
      GPUKernel("memory", "copy_matrix"), grid: .eights(of: source), destination.matrix,
      source.matrix)
  }

  package func read(_ x: View, into numbers: inout [Float]) throws(DeviceError) {
    if numbers.count != x.count { numbers = [Float](repeating: 0, count: x.count) }
    guard x.count > 0 else { return }
    var fault: DeviceError?
    withDense(x) { dense in
      // Where only memory is counted, there may be none to copy from.
      guard GPUScratch.recorder == nil else { return }
      numbers.withUnsafeMutableBytes { target in
        do throws(DeviceError) {
          try driver.copyOut(dense, into: target)
        } catch {
          fault = error
        }
      }
    }
    if let fault { throw fault }
    try driver.check()
  }

  /// Calls `body` with the numbers as contiguous floats on the card.
  private func withDense(_ x: View, _ body: (UnsafeMutableRawPointer) -> Void) {
    if x.isContiguous, x.buffer.type == .float32 { return body(x.address) }
    scratch.lendViews([(x.rows, x.columns)]) { parts in
      copy(x, to: parts[0])
      body(parts[0].address)
    }
  }

  /// Copies to the card, unless only memory is counted.
  private func copyIn(_ bytes: UnsafeRawBufferPointer, to address: UnsafeMutableRawPointer) {
    if GPUScratch.recorder == nil { driver.copyIn(bytes, to: address) }
  }

  package func write(_ numbers: [Float], to x: View) throws(DeviceError) {
    precondition(numbers.count == x.count, "\(numbers.count) numbers for \(x.count) elements")
    guard x.count > 0 else { return }
    numbers.withUnsafeBytes { bytes in
      if x.isContiguous, x.buffer.type == .float32 { return copyIn(bytes, to: x.address) }
      scratch.lendViews([(x.rows, x.columns)]) { parts in
        copyIn(bytes, to: parts[0].address)
        copy(parts[0], to: x)
      }
    }
    try driver.check()
  }

  package func write(
    _ bytes: UnsafeRawBufferPointer, type: NumberType, to x: View
  ) throws(DeviceError) {
    precondition(x.isContiguous && bytes.count == x.count * type.bytes, "bytes of another shape")
    if type == .float32, x.buffer.type == .float32 {
      copyIn(bytes, to: x.address)
      return try driver.check()
    }
    let row = View(x.buffer, offset: x.offset, rows: 1, columns: x.count)
    for part in Self.parts(of: x.count) {
      var numbers = [Float](repeating: 0, count: part.count)
      let slice = UnsafeRawBufferPointer(
        rebasing: bytes[part.lowerBound * type.bytes..<part.upperBound * type.bytes])
      numbers.withUnsafeMutableBufferPointer { type.widen(slice, into: $0) }
      try write(numbers, to: row.columns(part))
    }
  }

  package func withFloats(of x: View, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
    precondition(x.isContiguous, "bytes of a strided view")
    let row = View(x.buffer, offset: x.offset, rows: 1, columns: x.count)
    var numbers: [Float] = []
    for part in Self.parts(of: x.count) {
      try read(row.columns(part), into: &numbers)
      try numbers.withUnsafeBytes(body)
    }
  }

  /// So many numbers at a time go through the host's memory.
  private static func parts(of count: Int) -> [Range<Int>] {
    let most = 1 << 22
    return stride(from: 0, to: count, by: most).map { $0..<min(count, $0 + most) }
  }

  package func synchronize() throws(DeviceError) { try driver.synchronize() }

  package func releaseWorkingMemory() {
    scratch.release()
    driver.releaseMemory()
  }
}
