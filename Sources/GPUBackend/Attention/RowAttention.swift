import CUDASource
import Tensor

/// Launches of the attentions whose rows are a warp's (`row_attention.h`).
extension GPUKernels {
  /// Threads and shared memory of a block of warps that each take so many bytes.
  struct WarpBlock {
    let threads: Int
    let sharedBytes: Int

    /// - Parameter bytes: Of a warp.
    init(bytes: Int) {
      let most = 48 << 10
      precondition(
        bytes <= most, "a head needs \(bytes) bytes of shared memory, a block has \(most)")
      let warps = min(8, most / bytes)
      threads = 32 * warps
      sharedBytes = warps * bytes
    }

    /// A desk for heads of these widths, and so many bytes more.
    init(keys: Int, values: Int, more: Int = 0) {
      self.init(bytes: Self.deskBytes(keys: keys, values: values) + more)
    }

    /// As `deskBytes` of the kernels.
    private static func deskBytes(keys: Int, values: Int) -> Int {
      func padded(_ width: Int) -> Int { (width + 7) / 8 * 8 }
      return 4 * (3 * padded(keys) + 2 * padded(values) + 128) + 8 * 192
    }

    /// A warp for every task and head.
    func grid(_ tasks: Int, heads: Int) -> GPUGrid {
      GPUGrid((32 * tasks + threads - 1) / threads, tasks == 0 ? 0 : heads)
    }
  }

  /// The rows of a pass.
  func rows(_ sequences: Sequences) -> AttentionRows {
    AttentionRows(
      positions: UnsafePointer(sequences.positions.address.assumingMemoryBound(to: Int32.self)),
      starts: UnsafePointer(sequences.placedStarts.address.assumingMemoryBound(to: Int32.self)),
      sequences: Int32(sequences.starts.count - 1), kinds: 0, places: nil)
  }

  /// Runs `body` with rows of streams, of which each has memory of so many kinds.
  ///
  /// - Parameters:
  ///   - positions: Of every row in its stream.
  ///   - places: Where the first row of each kind is, `[rows][kinds]`.
  ///   - body: Launches what reads them.
  func withRows(
    positions: [Int], places: [[UnsafeMutableRawPointer?]], _ body: (AttentionRows) -> Void
  ) {
    let addresses = places.flatMap { $0.map { UInt64(UInt(bitPattern: $0)) } }
    scratch.lend([4 * positions.count, 8 * addresses.count]) { parts in
      copyIn(positions.map(Int32.init), to: parts[0])
      copyIn(addresses, to: parts[1])
      body(
        AttentionRows(
          positions: UnsafePointer(parts[0].assumingMemoryBound(to: Int32.self)), starts: nil,
          sequences: 0, kinds: Int32(places.first?.count ?? 0),
          places: UnsafePointer(parts[1].assumingMemoryBound(to: UnsafeRawPointer?.self))))
    }
  }

  /// Copies numbers to the card, unless only memory is counted.
  func copyIn<Value: BitwiseCopyable>(
    _ values: [Value], to address: UnsafeMutableRawPointer
  ) {
    guard GPUScratch.recorder == nil else { return }
    values.withUnsafeBytes { driver.copyIn($0, to: address) }
  }
}

extension Matrix {
  /// No matrix.
  static var none: Matrix {
    Matrix(base: nil, stride: 0, rows: 0, columns: 0, type: Int32(NUMBER_FLOAT), aligned: 0)
  }

  /// What memory of single precision looks like whose place is said elsewhere.
  static func elsewhere(columns: Int) -> Matrix {
    Matrix(
      base: nil, stride: Int64(columns), rows: 0, columns: Int32(columns),
      type: Int32(NUMBER_FLOAT), aligned: 0)
  }
}
