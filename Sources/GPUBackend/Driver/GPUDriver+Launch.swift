import Tensor

extension GPUDriver {
  /// Runs a kernel with the values of its parameters; a grid without blocks runs nothing.
  ///
  /// - Parameters:
  ///   - kernel: Which.
  ///   - grid: Blocks.
  ///   - block: Threads of a block.
  ///   - sharedBytes: Dynamic shared memory of a block.
  ///   - values: One for every parameter, of its very type in C.
  func launch<each Value: BitwiseCopyable>(
    _ kernel: GPUKernel, grid: GPUGrid, block: Int = 256, sharedBytes: Int = 0,
    _ values: repeat each Value
  ) {
    if let recorder = GPUScratch.recorder {
      recorder.kernels.insert(kernel)
      return
    }
    guard !grid.isEmpty else { return }
    var pointers: [UnsafeMutableRawPointer?] = []
    var bytes = 0
    for size in repeat MemoryLayout<each Value>.size { bytes += (size + 15) / 16 * 16 }
    withUnsafeTemporaryAllocation(byteCount: bytes, alignment: 16) { room in
      guard var next = room.baseAddress else { return }
      for value in repeat each values {
        pointers.append(next)
        next.storeBytes(of: value, as: type(of: value))
        next += (MemoryLayout.size(ofValue: value) + 15) / 16 * 16
      }
      pointers.withUnsafeMutableBufferPointer {
        launch(kernel, grid: grid, block: block, sharedBytes: sharedBytes, arguments: $0)
      }
    }
  }
}

/// Grids by what a thread or a warp of 256 threads' blocks owns.
extension GPUGrid {
  /// A thread for every item.
  static func threads(_ items: Int, block: Int = 256) -> GPUGrid {
    GPUGrid((items + block - 1) / block)
  }

  /// A warp for every row.
  static func warps(_ rows: Int, block: Int = 256) -> GPUGrid { threads(32 * rows, block: block) }

  /// A thread for every eight columns of every row.
  static func eights(of view: View) -> GPUGrid { threads(view.rows * ((view.columns + 7) / 8)) }
}
