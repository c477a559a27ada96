import Tensor
import TestSupport
import Testing

/// Every attention of every back end against the oracle, and against what the back end promises.
@Suite struct AttentionTests {
  /// Sizes are at least 1, that of the gradients that come in: those of a lone key cancel.
  @Test(arguments: AttentionSubject.all, AttentionSize.all)
  func agrees(subject: AttentionSubject, size: AttentionSize) throws {
    for backend in others where try AttentionStage(backend, subject, size) != nil {
      try expectAgreement(backend, relative: subject.relativeError, size: 1) { stage in
        let staged = try #require(try AttentionStage(stage.backend, subject, size))
        staged.forward()
        staged.backward()
        return staged.results
      }
    }
  }

  /// The steps of a stream give the rows of the full pass: a prefix read at once, then one position at
  /// a time, alone and beside other streams.
  @Test(arguments: TestBackend.allCases, AttentionSubject.all)
  func decodingIsTheFullPass(backend: TestBackend, subject: AttentionSubject) throws {
    let size = AttentionSize([41], keys: 9, values: 9)
    guard let staged = try AttentionStage(backend, subject, size) else { return }
    staged.forward()
    let state = try staged.makeState()
    let prefix = try staged.copy(rows: 0..<13)
    staged.attention.step(prefix, [state])
    try expectRows(prefix.o, of: staged, 0..<13, "prefix")
    let fork = state.copy()
    for position in 13..<27 {
      let row = try staged.copy(rows: position..<position + 1)
      staged.attention.step(row, [state])
      try expectRows(row.o, of: staged, position..<position + 1, "position \(position)")
    }
    #expect(state.bytes >= fork.bytes)
    // Two streams of different lengths in one call.
    let rows = try [27, 13].map { try staged.copy(rows: $0..<$0 + 1) }
    let both = try staged.copy(rows: 0..<2)
    for (row, part) in rows.enumerated() {
      for (from, to) in [
        (part.q, both.q), (part.k, both.k), (part.v, both.v), (part.input, both.input),
      ] {
        if let from, let to { staged.stage.kernels.copy(from, to: to.rows(row..<row + 1)) }
      }
    }
    staged.attention.step(both, [state, fork])
    try expectRows(both.o.rows(0..<1), of: staged, 27..<28, "first of two streams")
    try expectRows(both.o.rows(1..<2), of: staged, 13..<14, "second of two streams")
  }

  /// What comes later changes no bit of what came before.
  @Test(arguments: TestBackend.allCases, AttentionSubject.all)
  func laterPositionsAreNotSeen(backend: TestBackend, subject: AttentionSubject) throws {
    let size = AttentionSize([45], keys: 9, values: 7)
    guard let staged = try AttentionStage(backend, subject, size) else { return }
    staged.forward()
    let before = try staged.stage.numbers(staged.tensors.o)
    for cut in [1, 2, 8, 9, 15, 16, 17, 31, 44] {
      guard let changed = try AttentionStage(backend, subject, size) else { return }
      let tensors = changed.tensors
      for view in [tensors.q, tensors.k, tensors.v, tensors.input].compactMap({ $0 }) {
        try changed.stage.write(to: view.rows(cut..<45), seed: 90 + UInt64(cut), deviation: 1e3)
      }
      changed.forward()
      let after = try changed.stage.numbers(tensors.o)
      let past = cut * tensors.o.columns
      try expectSame(
        Array(after[..<past]), Array(before[..<past]), on: backend, subject, "cut at \(cut)")
      #expect(after[past...] != before[past...])
    }
  }

  /// Outputs and gradients of a sequence are the same alone and in a batch.
  @Test(arguments: TestBackend.allCases, AttentionSubject.all)
  func sequencesAreAlone(backend: TestBackend, subject: AttentionSubject) throws {
    let size = AttentionSize([5, 0, 31, 1, 12], keys: 8, values: 8)
    guard let batch = try AttentionStage(backend, subject, size) else { return }
    batch.forward()
    batch.backward()
    let kernels = batch.stage.kernels
    for (start, end) in zip(size.starts, size.starts.dropFirst()) where start < end {
      let alone = AttentionSize([end - start], keys: 8, values: 8)
      guard let single = try AttentionStage(backend, subject, alone) else { return }
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
        try expectSame(
          try kernels.numbers(of: one), try kernels.numbers(of: all.rows(start..<end)),
          on: backend, subject, "\(name) of \(start)..<\(end)")
      }
    }
  }

  private func expectRows(
    _ o: View, of staged: AttentionStage, _ rows: Range<Int>, _ what: String
  ) throws {
    try expectSame(
      try staged.stage.numbers(o), try staged.stage.numbers(staged.tensors.o.rows(rows)),
      on: staged.stage.backend, staged.subject, what)
  }

  /// The same bits where they are promised, else the same within the bound.
  private func expectSame(
    _ a: [Float], _ b: [Float], on backend: TestBackend, _ subject: AttentionSubject, _ what: String
  ) throws {
    let promises = try backend.makeKernels().promises
    if promises.rowsAreIndependent {
      #expect(haveSameBits(a, b), "\(what)")
    } else {
      #expect(
        relativeError(a, b) <= subject.relativeError ?? promises.relativeError, "\(what)")
    }
  }
}
