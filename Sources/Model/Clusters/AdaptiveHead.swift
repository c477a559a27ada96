import Tensor

/// The softmax over clusters of the vocabulary (Grave et al., 2017, arXiv 1609.04309).
///
///     -ln p(t) = -ln softmax(h headᵀ)[t]                                        t in the first cluster
///     -ln p(t) = -ln softmax(h headᵀ)[entry i] - ln softmax(h Pᵢᵀ tableᵢᵀ)[t]   t in tail i
///
/// A tail is computed for the positions alone whose token is in it, whose hidden states are gathered. Built
/// of operations that every back end has, so that a position's figures depend on its own row alone where
/// those of the operations do.
struct AdaptiveHead {
  let clusters: VocabularyClusters
  let kernels: any Kernels
  /// Weights as products read them.
  let weights: Parameters

  /// Nats of positions: those of the head, and beside them those of tokens inside their tails.
  struct Nats {
    /// `[1, N]`, in the order of positions.
    let head: View
    /// `[1, ≤ N]`, tail after tail.
    let tails: View
    /// The position of each of `tails`.
    let positions: [Int32]

    /// The sum of both, in the order of positions; waits for the device.
    func numbers(on kernels: any Kernels) throws(DeviceError) -> [Float] {
      var numbers = try kernels.numbers(of: head)
      if positions.isEmpty { return numbers }
      for (position, nats) in zip(positions, try kernels.numbers(of: tails)) {
        numbers[Int(position)] += nats
      }
      return numbers
    }
  }

  /// What a backward pass needs beside a forward one.
  struct Backward {
    /// Gradient of the hidden states, `[N, C]`, written over.
    let dHidden: View
    /// Are added to.
    let gradients: Parameters
    /// Multiplies all gradients.
    let scale: Float
  }

  /// Cross-entropy of targets, with gradients on demand.
  ///
  /// - Parameters:
  ///   - nllNats: `[1, N]`, written over.
  ///   - hidden: `[N, C]`.
  ///   - targets: Tokens, `[N]`.
  ///   - gathered: Scratch, `[N, C]`.
  ///   - scratch: Of the tails.
  ///   - backward: Where gradients go; nil for none.
  func crossEntropy(
    nllNats: View, hidden: View, targets: [Int32], gathered: View, scratch: ClusterScratch,
    backward: Backward? = nil
  ) throws(DeviceError) -> Nats {
    let groups = ClusterGroups(targets, clusters)
    let headTargets = try kernels.place(groups.headTargets(clusters))
    if let backward {
      kernels.crossEntropyForwardBackward(
        nllNats: nllNats, dHidden: backward.dHidden, dw: backward.gradients.head, hidden: hidden,
        w: weights.head, targets: headTargets, gradientScale: backward.scale)
    } else {
      kernels.crossEntropyForward(
        nllNats: nllNats, hidden: hidden, w: weights.head, targets: headTargets)
    }
    let first = groups.parts[0].upperBound
    for (tail, part) in groups.parts.dropFirst().enumerated() where !part.isEmpty {
      let places = part.lowerBound - first..<part.upperBound - first
      try crossEntropy(
        ofTail: tail, nllNats: scratch.nllNats.columns(places), hidden: hidden,
        positions: try kernels.place(Array(groups.order[part])),
        targets: try kernels.place(Array(groups.rows[part])),
        gathered: gathered.rows(0..<part.count),
        scratch: scratch, backward: backward)
    }
    return Nats(
      head: nllNats, tails: scratch.nllNats.columns(0..<targets.count - first),
      positions: Array(groups.order[first...]))
  }

  private func crossEntropy(
    ofTail index: Int, nllNats: View, hidden: View, positions: Indices, targets: Indices,
    gathered: View, scratch: ClusterScratch, backward: Backward?
  ) throws(DeviceError) {
    let tail = weights.tails[index]
    let width = tail.outputTable.columns
    let narrow = ClusterScratch.cut(scratch.projected, rows: positions.count, columns: width)
    kernels.embeddingForward(y: gathered, ids: positions, table: hidden)
    kernels.linearForward(y: narrow, x: gathered, w: tail.outputProjection, accumulate: false)
    guard let backward else {
      kernels.crossEntropyForward(
        nllNats: nllNats, hidden: narrow, w: tail.outputTable, targets: targets)
      return
    }
    let sums = backward.gradients.tails[index]
    let dNarrow = ClusterScratch.cut(scratch.gradient, rows: positions.count, columns: width)
    kernels.crossEntropyForwardBackward(
      nllNats: nllNats, dHidden: dNarrow, dw: sums.outputTable, hidden: narrow,
      w: tail.outputTable, targets: targets, gradientScale: backward.scale)
    kernels.linearBackwardWeight(dw: sums.outputProjection, dy: dNarrow, x: gathered)
    // What was gathered has been read.
    kernels.linearBackwardInput(
      dx: gathered, dy: dNarrow, w: tail.outputProjection, accumulate: false)
    kernels.embeddingBackward(dTable: backward.dHidden, dy: gathered, ids: positions)
  }

  /// Logits over the whole vocabulary whose softmax is the distribution.
  ///
  /// Those of the head are as they are; in tail i they are
  ///
  ///     logit(entry i) + ln softmax(h Pᵢᵀ tableᵢᵀ)
  ///
  /// so that the sum of exponentials is that of the head.
  ///
  /// - Parameters:
  ///   - logits: `[N, V]`, written over.
  ///   - hidden: `[N, C]`.
  func project(_ hidden: View, into logits: View) throws(DeviceError) {
    let first = clusters.ranges[0]
    kernels.linearForward(
      y: logits.columns(first), x: hidden, w: weights.head.rows(first), accumulate: false)
    let entries = try kernels.makeView(rows: hidden.rows, columns: clusters.tails)
    kernels.linearForward(
      y: entries, x: hidden, w: weights.head.rows(first.upperBound..<clusters.headRows),
      accumulate: false)
    let entryLogits = try kernels.numbers(of: entries)
    let nats = try kernels.makeView(rows: 1, columns: hidden.rows)
    let zeros = try kernels.place(Array(repeating: 0, count: hidden.rows))
    for (index, tail) in weights.tails.enumerated() {
      let range = clusters.ranges[index + 1]
      let narrow = try kernels.makeView(
        rows: hidden.rows, columns: tail.outputTable.columns, for: .compute)
      kernels.linearForward(y: narrow, x: hidden, w: tail.outputProjection, accumulate: false)
      let part = logits.columns(range)
      kernels.linearForward(y: part, x: narrow, w: tail.outputTable, accumulate: false)
      kernels.crossEntropyForward(
        nllNats: nats, hidden: narrow, w: tail.outputTable, targets: zeros)
      let natsOfFirst = try kernels.numbers(of: nats)
      var numbers = try kernels.numbers(of: part)
      for row in 0..<hidden.rows {
        let start = row * range.count
        let shift =
          entryLogits[row * clusters.tails + index] - numbers[start] - natsOfFirst[row]
        for place in start..<start + range.count { numbers[place] += shift }
      }
      try kernels.write(numbers, to: part)
    }
  }
}
