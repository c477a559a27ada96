import Host
import Tensor

/// Row-major Combiner attention with projected addresses, which mix the heads: every pass over
/// sequences and heads is cut in two where the addresses of the whole batch are made.
struct CombinerProjectedPass {
  private let views: CombinerViews
  private let projection: CombinerProjection
  private let longest: CombinerGrid
  /// Row of every sequence's first position among the summarised ones, and their number.
  private let rows: [Int]
  private let count: Int

  init(_ views: CombinerViews, _ projection: CombinerProjection) {
    self.views = views
    self.projection = projection
    longest = CombinerGrid(longestOf: views)
    var rows = [Int]()
    var count = 0
    for sequence in 0..<max(views.starts.count - 1, 0) {
      rows.append(count)
      let length = views.starts[sequence + 1] - views.starts[sequence]
      let grid = CombinerGrid(length: length, width: longest.width)
      count += grid.summarised * grid.width
    }
    self.rows = rows
    self.count = count
  }

  func forward() {
    Scratch.lend(carving: { CombinerProjectionRows(projection, count: count, &$0) }) { all in
      project(all)
      forEachForward { pass, head, grid, slots in
        pass.run(head, grid, projected: slots(all.addresses, all.summaries))
      }
    }
  }

  func backward(_ gradients: CombinerViewGradients) {
    guard let dProjection = gradients.projection else {
      preconditionFailure("no gradients of the projection")
    }
    Scratch.lend(carving: { scratch in
      let all = CombinerProjectionRows(projection, count: count, &scratch)
      return (
        all, scratch.takeView(rows: count, columns: all.addresses.columns),
        scratch.takeView(rows: count, columns: all.summaries.columns),
        scratch.takeView(rows: count, columns: all.input.columns)
      )
    }) { all, dAddresses, dSummaries, dInput in
      project(all)
      forEachBackward(gradients, accumulate: false) { pass, _, grid, slots in
        pass.run(
          grid, projected: slots(all.addresses, all.summaries),
          dProjected: slots(dAddresses, dSummaries))
      }
      all.backward(
        dInput: dInput, dSummaries: dSummaries, dAddresses: dAddresses, dProjection)
      scatter(dInput, to: dProjection.dInput)
      forEachBackward(gradients, accumulate: true) { pass, head, grid, slots in
        pass.runSummaries(head, grid, dProjected: slots(dAddresses, dSummaries))
      }
    }
  }

  /// Summaries of all heads, then addresses.
  private func project(_ all: CombinerProjectionRows) {
    forEachSummarised { sequence, count in
      all.input.rows(rows[sequence]..<rows[sequence] + count).copy(
        from: projection.input.rows(views.starts[sequence]..<views.starts[sequence] + count))
    }
    forEachForward { pass, head, grid, slots in
      let slots = slots(all.addresses, all.summaries)
      pass.summarise(head, grid, into: slots.summaries, stride: slots.summaryStride)
    }
    all.forward()
  }

  private func scatter(_ dInput: View, to all: View) {
    all.rows(0..<(views.starts.last ?? 0)).fill(0)
    forEachSummarised { sequence, count in
      all.rows(views.starts[sequence]..<views.starts[sequence] + count).copy(
        from: dInput.rows(rows[sequence]..<rows[sequence] + count))
    }
  }

  /// Sequences with summarised positions, and how many.
  private func forEachSummarised(_ body: (_ sequence: Int, _ count: Int) -> Void) {
    for sequence in rows.indices {
      let next = sequence + 1 < rows.count ? rows[sequence + 1] : count
      if next > rows[sequence] { body(sequence, next - rows[sequence]) }
    }
  }

  /// Finds the slots of the sequence and head at hand in those of the batch.
  private typealias Slots = (_ addresses: View, _ summaries: View) -> CombinerProjectedSlots

  private func forEachForward(
    _ body: @Sendable (CombinerRowMajorForward, CombinerHead, CombinerGrid, Slots) -> Void
  ) {
    views.forEachHead(carving: {
      CombinerRowMajorForward(views.widths, .proj, longest, &$0)
    }) { pass, head in
      body(pass, head, CombinerGrid(length: head.length, width: longest.width)) {
        slots(head, addresses: $0, summaries: $1)
      }
    }
  }

  private func forEachBackward(
    _ gradients: CombinerViewGradients, accumulate: Bool,
    _ body: @Sendable (CombinerRowMajorBackward, CombinerHead, CombinerGrid, Slots) -> Void
  ) {
    views.forEachHead(carving: {
      CombinerRowMajorBackward(views.widths, .proj, longest, &$0)
    }) { pass, head in
      gradients.pack(pass.all, views, head, range: 0..<head.length)
      body(pass, head, CombinerGrid(length: head.length, width: longest.width)) {
        slots(head, addresses: $0, summaries: $1)
      }
      gradients.write(pass.all, head, range: 0..<head.length, accumulate: accumulate)
    }
  }

  private func slots(
    _ head: CombinerHead, addresses: View, summaries: View
  ) -> CombinerProjectedSlots {
    CombinerProjectedSlots(
      views.widths, head: head.number, row: rows[head.sequence], addresses: addresses,
      summaries: summaries)
  }
}
