import Tensor

/// Embeddings whose width follows the frequency of a token (Baevski and Auli, 2018, arXiv 1809.10853).
///
///     x[n] = table0[id]                 of the first cluster
///     x[n] = tableI[id] · projectionIᵀ  of tail i
///
/// Built of operations that every back end has: rows are gathered cluster by cluster into a scratch, and
/// brought back into the order of positions.
struct AdaptiveInput {
  let clusters: VocabularyClusters
  let kernels: any Kernels
  /// Tables, of the type that weights are kept in.
  let parameters: Parameters
  /// Projections as products read them.
  let rounded: Parameters

  /// Looks the embeddings of positions up.
  ///
  /// - Parameters:
  ///   - x: `[N, C]`, written over.
  ///   - ids: Tokens, `[N]`.
  ///   - sorted: Scratch, `[N, C]`.
  ///   - scratch: Of the tails.
  func forward(
    x: View, ids: [Int32], sorted: View, scratch: ClusterScratch
  ) throws(DeviceError) {
    let groups = ClusterGroups(ids, clusters)
    for (cluster, part) in groups.parts.enumerated() where !part.isEmpty {
      let rows = try kernels.place(Array(groups.rows[part]))
      if cluster == 0 {
        kernels.embeddingForward(y: sorted.rows(part), ids: rows, table: parameters.embedding)
        continue
      }
      let tail = parameters.tails[cluster - 1]
      let narrow = ClusterScratch.cut(
        scratch.projected, rows: part.count, columns: tail.inputTable.columns)
      kernels.embeddingForward(y: narrow, ids: rows, table: tail.inputTable)
      kernels.linearForward(
        y: sorted.rows(part), x: narrow, w: rounded.tails[cluster - 1].inputProjection,
        accumulate: false)
    }
    kernels.embeddingForward(y: x, ids: try kernels.place(groups.places), table: sorted)
  }

  /// Adds the gradients of tables and projections.
  ///
  /// - Parameters:
  ///   - dx: Gradient of the embeddings, `[N, C]`.
  ///   - ids: Tokens, `[N]`.
  ///   - gradients: Are added to.
  ///   - sorted: Scratch, `[N, C]`.
  ///   - scratch: Of the tails.
  func backward(
    dx: View, ids: [Int32], into gradients: Parameters, sorted: View, scratch: ClusterScratch
  ) throws(DeviceError) {
    let groups = ClusterGroups(ids, clusters)
    kernels.embeddingForward(y: sorted, ids: try kernels.place(groups.order), table: dx)
    for (cluster, part) in groups.parts.enumerated() where !part.isEmpty {
      let rows = try kernels.place(Array(groups.rows[part]))
      let dy = sorted.rows(part)
      if cluster == 0 {
        kernels.embeddingBackward(dTable: gradients.embedding, dy: dy, ids: rows)
        continue
      }
      let (tail, sums) = (parameters.tails[cluster - 1], gradients.tails[cluster - 1])
      let width = tail.inputTable.columns
      let narrow = ClusterScratch.cut(scratch.projected, rows: part.count, columns: width)
      let dNarrow = ClusterScratch.cut(scratch.gradient, rows: part.count, columns: width)
      kernels.embeddingForward(y: narrow, ids: rows, table: tail.inputTable)
      kernels.linearBackwardWeight(dw: sums.inputProjection, dy: dy, x: narrow)
      kernels.linearBackwardInput(
        dx: dNarrow, dy: dy, w: rounded.tails[cluster - 1].inputProjection, accumulate: false)
      kernels.embeddingBackward(dTable: sums.inputTable, dy: dNarrow, ids: rows)
    }
  }
}
