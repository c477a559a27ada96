package import Tensor

/// Head, softmax and cross-entropy, a block of positions at a time, so that `[N, V]` never exists.
extension GPUKernels {
  package func crossEntropyForward(nllNats: View, hidden: View, w: View, targets: Indices) {
    forEachBlock(nllNats: nllNats, hidden: hidden, w: w, targets: targets, scale: 0) { _, _ in }
  }

  package func crossEntropyForwardBackward(
    nllNats: View, dHidden: View, dw: View, hidden: View, w: View, targets: Indices,
    gradientScale: Float
  ) {
    precondition(
      dHidden.rows == hidden.rows && dHidden.columns == hidden.columns && dw.rows == w.rows
        && dw.columns == w.columns,
      "dHidden [\(dHidden.rows), \(dHidden.columns)], dw [\(dw.rows), \(dw.columns)]")
    forEachBlock(
      nllNats: nllNats, hidden: hidden, w: w, targets: targets, scale: gradientScale
    ) { positions, dLogits in
      linearBackwardInput(
        dx: dHidden.rows(positions), dy: dLogits, w: w, accumulate: false)
      linearBackwardWeight(dw: dw, dy: dLogits, x: hidden.rows(positions))
    }
  }

  /// Turns logits into nats and, unless `scale` is 0, into their gradients, and calls `body` with them.
  private func forEachBlock(
    nllNats: View, hidden: View, w: View, targets: Indices, scale: Float,
    _ body: (Range<Int>, View) -> Void
  ) {
    precondition(
      nllNats.count == hidden.rows && nllNats.isContiguous && targets.count == hidden.rows
        && hidden.columns == w.columns,
      "hidden [\(hidden.rows), \(hidden.columns)], w [\(w.rows), \(w.columns)],"
        + " \(targets.count) targets, \(nllNats.count) results")
    for target in targets.numbers {
      precondition(
        target >= 0 && target < w.rows, "target \(target) in a vocabulary of \(w.rows)")
    }
    guard hidden.rows > 0 else { return }
    // Scores keep all digits of their logits; gradients are read by products of one type.
    let plan = LogitsPlan(
      vocabulary: w.rows, type: scale == 0 ? .float32 : hidden.buffer.type)
    let rows = min(hidden.rows, plan.blockRows)
    let nats = View(nllNats.buffer, offset: nllNats.offset, rows: 1, columns: nllNats.count)
    scratch.lend([rows * plan.rowBytes]) { parts in
      let block = Buffer(
        address: parts[0], count: rows * plan.stride, type: plan.type, home: .device, bytes: 0
      ) {}
      for start in stride(from: 0, to: hidden.rows, by: plan.blockRows) {
        let positions = start..<min(hidden.rows, start + plan.blockRows)
        let logits = View(
          block, offset: 0, rows: positions.count, columns: w.rows, stride: plan.stride)
        linearForward(y: logits, x: hidden.rows(positions), w: w, accumulate: false)
        driver.launch(
          plan.kernel, grid: GPUGrid(positions.count), block: plan.threads,
          nats.columns(positions).matrix, logits.matrix, targets.address + 4 * start, scale)
        body(positions, logits)
      }
    }
  }
}

/// How positions are cut, by the vocabulary and the type of the logits alone.
struct LogitsPlan {
  let type: NumberType
  /// Numbers from one row to the next: a product whose rows begin on 128 bytes runs three times as fast.
  let stride: Int
  /// Positions of a block: those of 256 MiB of logits, or 8,192 in up to 576 MiB.
  ///
  /// Logits that stay in the card's cache until softmax reads them save less than their products lose: one
  /// of 512 positions and 32,000 tokens ran at half the speed of one of 8,192, and with 4,000 the
  /// gradient of hidden states of 512 is 64 tiles of 128 x 256, for the 132 multiprocessors of a card.
  let blockRows: Int
  /// What makes nats and gradients of logits, in blocks of so many threads.
  let kernel: GPUKernel
  let threads: Int

  init(vocabulary: Int, type: NumberType) {
    self.type = type
    stride = (vocabulary + 63) / 64 * 64
    let rowBytes = stride * type.bytes
    blockRows =
      max(128, (256 << 20) / rowBytes, min(8_192, (576 << 20) / rowBytes)) / 128 * 128
    // As many as 512 threads hold in registers, nine times eight each.
    let isHeld = type == .brain16 && vocabulary <= 512 * 8 * 9
    kernel = GPUKernel("cross_entropy", isHeld ? "cross_entropy_held" : "cross_entropy")
    threads = isHeld ? 512 : 256
  }

  var rowBytes: Int { stride * type.bytes }
}
