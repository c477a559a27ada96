/// Whole numbers that kernels read, placed on a device once and read by many calls.
package struct Indices: Sendable {
  /// The numbers, on the host.
  package let numbers: [Int32]
  /// What the device keeps of them; nil where it reads `numbers`.
  package let memory: (any Sendable)?

  package init(_ numbers: [Int32], memory: (any Sendable)? = nil) {
    self.numbers = numbers
    self.memory = memory
  }

  package var count: Int { numbers.count }
}

/// Sequences that lie end to end in a batch.
package struct Sequences: Sendable {
  /// First position of every sequence and, last, N.
  package let starts: [Int]
  /// The same, for kernels.
  package let placedStarts: Indices
  /// Position of every row inside its sequence, `[N]`.
  package let positions: Indices

  /// - Parameters:
  ///   - starts: First position of every sequence and, last, N; begins with 0.
  ///   - device: Where kernels read them.
  package init(_ starts: [Int], on device: any Device) throws(DeviceError) {
    var positions: [Int32] = []
    positions.reserveCapacity(starts.last ?? 0)
    for (start, end) in zip(starts, starts.dropFirst()) {
      for position in 0..<(end - start) { positions.append(Int32(position)) }
    }
    self.starts = starts
    placedStarts = try device.place(starts.map(Int32.init))
    self.positions = try device.place(positions)
  }

  /// Rows of the batch, N.
  package var count: Int { starts.last ?? 0 }
}
