extension CPUKernels {
  /// Causal softmax attention of one position against a cache; the bits of the full forward pass.
  ///
  /// The cache is what the forward pass reads: row t of `keys` and `values` holds all heads of
  /// position t, so a step copies one row of each and moves nothing.
  ///
  /// - Parameters:
  ///   - o: Output of the last position, `[1, H·E]`.
  ///   - q: Its query, `[1, H·D]`.
  ///   - keys: At least `length` rows, `[capacity, H·D]`, the position's own key included.
  ///   - values: Likewise `[capacity, H·E]`.
  ///   - bias: `[H, B]` by distance, clipped, or nil.
  ///   - length: Positions so far, this one included.
  ///   - heads: Attention heads, H.
  ///   - scale: Factor of the logits.
  package func softmaxAttentionDecode(
    o: View, q: View, keys: View, values: View, bias: View?, length: Int, heads: Int, scale: Float
  ) {
    precondition(
      length > 0 && keys.rows >= length && values.rows >= length, "\(length) cached positions")
    precondition(
      q.columns == keys.columns && o.columns == values.columns && q.columns % heads == 0
        && values.columns % heads == 0, "widths of q, keys or values, o differ")
    let shape = HeadShape(keyWidth: q.columns / heads, valueWidth: values.columns / heads)
    // Below this a thread costs more than it saves.
    let grain = length * q.columns < 1 << 16 ? heads : 1
    parallelFor(heads, grain: grain) { range in
      Scratch.with(count: AttentionRow.floats(shape)) { scratch in
        var row = AttentionRow(shape, &scratch)
        for head in range {
          row.reset(query: q.base + head * shape.keyWidth, scale: scale)
          row.attend(
            keys: keys.base + head * shape.keyWidth, keyStride: keys.stride,
            valueRows: values.base + head * shape.valueWidth, valueStride: values.stride,
            valuesArePacked: false, count: length,
            bias: bias.map { UnsafePointer($0.base + head * $0.stride) },
            distance: length - 1, last: (bias?.columns ?? 1) - 1, offset: 0)
          row.finish(o.base + head * shape.valueWidth)
        }
      }
    }
  }
}
