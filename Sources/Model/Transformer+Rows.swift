package import Tensor

extension Transformer {
  /// Rows of logits that are in memory at a time.
  private static let logitRows = 64

  /// As ``nllNats(ids:targets:starts:reading:)``, and shows the logits of some positions.
  ///
  /// - Parameters:
  ///   - ids: Inputs, `[N]`; each sequence begins with `<s>` or the token before its first target.
  ///   - targets: The tokens that follow, `[N]`.
  ///   - starts: First position of every sequence and, last, N.
  ///   - positions: The positions whose logits are wanted, each above the one before.
  ///   - body: Called with some of them, the position of the first row of logits, and the logits of
  ///     that position and those behind it, `[rows, V]` row behind row.
  package func nllNats(
    ids: [Int32], targets: [Int32], starts: [Int], showingLogitsOf positions: [Int],
    _ body: (_ positions: ArraySlice<Int>, _ first: Int, _ logits: [Float]) -> Void
  ) throws(DeviceError) -> [Float] {
    try nllNats(ids: ids, targets: targets, starts: starts) { (hidden) throws(DeviceError) in
      let rows = min(Self.logitRows, hidden.rows)
      let memory = try kernels.makeView(rows: rows, columns: config.vocabularySize)
      var logits: [Float] = []
      var next = positions[...]
      while let first = next.first {
        let end = min(first + rows, hidden.rows)
        let wanted = next.prefix { $0 < end }
        let last = wanted[wanted.endIndex - 1] + 1
        let view = memory.rows(0..<last - first)
        try project(hidden.rows(first..<last), into: view)
        try kernels.read(view, into: &logits)
        body(wanted, first, logits)
        next = next[wanted.endIndex...]
      }
    }
  }
}
