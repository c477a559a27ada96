import Tensor

/// Every attention of a device: against the oracle, and against what the device promises.
extension DeviceCheck {
  /// Forward and backward passes against the oracle.
  package static let attentions: [DeviceCheck] = AttentionSubject.all.flatMap { subject in
    AttentionSize.all.map { agrees(subject, $0) }
  }

  /// Decoding, causality and independence of the batch.
  package static let attentionPromises: [DeviceCheck] = AttentionSubject.all.flatMap {
    [
      decodingIsTheFullPass($0, AttentionSize([41], keys: 9, values: 9), prefix: 13, end: 27),
      laterPositionsAreNotSeen(
        $0, AttentionSize([45], keys: 9, values: 7), cuts: [1, 2, 8, 9, 15, 16, 17, 31, 44]),
      sequencesAreAlone($0, AttentionSize([5, 0, 31, 1, 12], keys: 8, values: 8)),
    ]
  }

  /// The same for attentions that a card does by tiles of 16 rows, at widths of heads that it has them
  /// for: lengths on both sides of a tile, a block and every level up to the fourth.
  package static let tiles: [DeviceCheck] = AttentionSubject.tiled.flatMap { subject in
    AttentionSize.tiled.map { agrees(subject, $0) } + [
      decodingIsTheFullPass(
        subject, AttentionSize([290], keys: 32, values: 32), prefix: 101, end: 288),
      laterPositionsAreNotSeen(
        subject, AttentionSize([290], keys: 32, values: 32),
        cuts: [1, 16, 33, 100, 255, 256, 257]),
      sequencesAreAlone(subject, AttentionSize([5, 70, 0, 31, 150, 64], keys: 48, values: 48)),
    ]
  }

  /// Sizes are at least 1, that of the gradients that come in: those of a lone key cancel.
  package static func agrees(_ subject: AttentionSubject, _ size: AttentionSize) -> DeviceCheck {
    DeviceCheck(
      "\(subject), \(size)", relative: { max($0, subject.relativeError ?? 0) }, size: 1
    ) { stage in
      guard let staged = try AttentionStage(stage.kernels, subject, size) else { return nil }
      staged.forward()
      staged.backward()
      return staged.results
    }
  }

  /// The steps of a stream give the rows of the full pass: a prefix read at once, then one position at
  /// a time, alone and beside other streams.
  private static func decodingIsTheFullPass(
    _ subject: AttentionSubject, _ size: AttentionSize, prefix end: Int, end last: Int
  ) -> DeviceCheck {
    DeviceCheck("decoding is the full pass: \(subject), \(size)") { kernels in
      guard let staged = try AttentionStage(kernels, subject, size) else { return [] }
      staged.forward()
      let state = try staged.makeState()
      var findings: [Finding] = []
      func compare(_ o: View, _ rows: Range<Int>, _ what: String) throws {
        findings.append(
          try staged.same(what, o, staged.tensors.o.rows(rows)))
      }
      let prefix = try staged.copy(rows: 0..<end)
      staged.attention.step(prefix, [state])
      try compare(prefix.o, 0..<end, "prefix")
      let fork = state.copy()
      for position in end..<last {
        let row = try staged.copy(rows: position..<position + 1)
        staged.attention.step(row, [state])
        try compare(row.o, position..<position + 1, "position \(position)")
      }
      findings.append(
        Finding(
          what: "bytes of a longer stream", error: state.bytes >= fork.bytes ? 0 : 1, bound: 0))
      // Two streams of different lengths in one call.
      let rows = try [last, end].map { try staged.copy(rows: $0..<$0 + 1) }
      let both = try staged.copy(rows: 0..<2)
      for (row, part) in rows.enumerated() {
        for (from, to) in [
          (part.q, both.q), (part.k, both.k), (part.v, both.v), (part.input, both.input),
        ] {
          if let from, let to { kernels.copy(from, to: to.rows(row..<row + 1)) }
        }
      }
      staged.attention.step(both, [state, fork])
      try compare(both.o.rows(0..<1), last..<last + 1, "first of two streams")
      try compare(both.o.rows(1..<2), end..<end + 1, "second of two streams")
      return findings
    }
  }

  /// What comes later changes no bit of what came before, and does change what comes after.
  private static func laterPositionsAreNotSeen(
    _ subject: AttentionSubject, _ size: AttentionSize, cuts: [Int]
  ) -> DeviceCheck {
    DeviceCheck("later positions are not seen: \(subject), \(size)") { kernels in
      let length = size.lengths[0]
      guard let staged = try AttentionStage(kernels, subject, size) else { return [] }
      staged.forward()
      var findings: [Finding] = []
      for cut in cuts {
        guard let changed = try AttentionStage(kernels, subject, size) else { return [] }
        let tensors = changed.tensors
        for view in [tensors.q, tensors.k, tensors.v, tensors.input].compactMap({ $0 }) {
          try changed.stage.write(
            to: view.rows(cut..<length), seed: 90 + UInt64(cut), deviation: 1e3)
        }
        changed.forward()
        findings.append(
          try staged.same("cut at \(cut)", tensors.o.rows(0..<cut), staged.tensors.o.rows(0..<cut)))
        let isSame = haveSameBits(
          try kernels.numbers(of: tensors.o.rows(cut..<length)),
          try kernels.numbers(of: staged.tensors.o.rows(cut..<length)))
        findings.append(
          Finding(what: "change after the cut at \(cut)", error: isSame ? 1 : 0, bound: 0))
      }
      return findings
    }
  }

  /// Outputs and gradients of a sequence are the same alone and in a batch.
  private static func sequencesAreAlone(
    _ subject: AttentionSubject, _ size: AttentionSize
  ) -> DeviceCheck {
    DeviceCheck("sequences are alone: \(subject), \(size)") { kernels in
      guard let batch = try AttentionStage(kernels, subject, size) else { return [] }
      batch.forward()
      batch.backward()
      var findings: [Finding] = []
      for (start, end) in zip(size.starts, size.starts.dropFirst()) where start < end {
        let alone = AttentionSize(
          [end - start], keys: size.widths.keys, values: size.widths.values)
        guard let single = try AttentionStage(kernels, subject, alone) else { return [] }
        let (from, to) = (batch.tensors, single.tensors)
        for (source, target) in [
          (from.q, to.q), (from.k, to.k), (from.v, to.v), (from.input, to.input),
          (batch.gradients.dO, single.gradients.dO),
        ] {
          if let source, let target { kernels.copy(source.rows(start..<end), to: target) }
        }
        single.forward()
        single.backward()
        for (name, one, all) in [
          ("o", to.o, from.o), ("dq", single.gradients.dq, batch.gradients.dq),
          ("dk", single.gradients.dk, batch.gradients.dk),
          ("dv", single.gradients.dv, batch.gradients.dv),
        ] {
          findings.append(
            try single.same("\(name) of \(start)..<\(end)", one, all.rows(start..<end)))
        }
      }
      return findings
    }
  }
}

extension AttentionStage {
  /// The same bits where they are promised, else the same within the bound.
  fileprivate func same(_ what: String, _ a: View, _ b: View) throws -> Finding {
    let (kernels, promises) = (stage.kernels, stage.kernels.promises)
    let (first, second) = (try kernels.numbers(of: a), try kernels.numbers(of: b))
    if promises.rowsAreIndependent { return Finding(what: what, sameBits: first, as: second) }
    return Finding(
      what: what, error: relativeError(first, second),
      bound: max(promises.relativeError, subject.relativeError ?? 0))
  }
}
