import Storage
package import Tensor

/// Streams that grow one token at a time, each with a state per layer.
///
/// Where the device promises it, a step gives the same bits as the full forward pass over the stream: a row of a product does not
/// depend on the rows beside it, and every attention repeats the order of its full pass.
package final class DecodeSession {
  private let model: Transformer
  private var states: [[any AttentionState]]  // [layer][stream]
  private var lengths: [Int]
  /// The last two tokens of every stream, of which rows of n-grams need to know.
  private var last: [[Int32]]
  private var logits: View?  // [streams or more, V], written by every step

  /// Positions given to the matrix products at a time while reading a prompt.
  private static let prefillRows = 192

  /// One empty stream.
  package init(_ model: Transformer) throws(DeviceError) {
    self.model = model
    let width = model.config.headWidth
    states = []
    for layer in 0..<model.config.layers {
      states.append([
        try model.attention.makeState(
          HeadWidths(keys: width, values: width), layer: layer,
          draw: .evaluation(seed: model.evaluationSeed))
      ])
    }
    lengths = [0]
    last = [[]]
  }

  private init(
    _ model: Transformer, states: [[any AttentionState]], lengths: [Int], last: [[Int32]]
  ) {
    self.model = model
    self.states = states
    self.lengths = lengths
    self.last = last
  }

  /// Positions that the longest stream remembers.
  package var length: Int { lengths.max() ?? 0 }

  /// Streams of this session.
  package var streams: Int { lengths.count }

  /// Memory of all states, in bytes.
  package var bytes: Int { states.joined().reduce(0) { $0 + $1.bytes } }

  /// Reads tokens into the only stream, if there is memory to remember them.
  ///
  /// - Parameter advice: How to need less, for the error.
  /// - Returns: Logits after the last of them, `[1, V]`, until the next step.
  /// - Throws: `MemoryShortage` after the first tokens.
  package func read(_ ids: [Int32], advice: String) throws -> View {
    let first = min(ids.count, Self.prefillRows)
    let logits = try read(Array(ids[..<first]))
    if first == ids.count { return logits }
    // States grow with the tokens at most, and one is copied at a time where they double.
    let growth = Double(bytes) * Double(ids.count) / Double(first)
    try MemoryLimit.require(
      Int(min(1.5 * growth, Double(1 << 60))), on: model.kernels,
      for: "a prompt of \(ids.count) tokens",
      advice: advice)
    return try read(Array(ids[first...]))
  }

  /// Reads tokens into the only stream.
  ///
  /// - Returns: Logits after the last of them, `[1, V]`, until the next step.
  package func read(_ ids: [Int32]) throws(DeviceError) -> View {
    precondition(streams == 1 && !ids.isEmpty, "a prompt is read before the session is forked")
    var first = 0
    while true {
      let chunk = Array(ids[first..<min(ids.count, first + Self.prefillRows)])
      let positions = chunk.indices.map { Int32(lengths[0] + $0) }
      let known = last[0] + chunk
      let rows = model.config.ngrams.map { ngram in
        (known.count - chunk.count..<known.count).map { ngram.row(at: $0, of: known) }
      }
      let hidden = try model.continued(
        ids: chunk, rows: rows, positions: positions, states: states)
      last[0] = known.suffix(2)
      lengths[0] += chunk.count
      first += chunk.count
      if first == ids.count {
        return try project(hidden.rows(chunk.count - 1..<chunk.count))
      }
    }
  }

  /// The same past continued by `count` independent streams.
  package func forked(_ count: Int) -> DecodeSession {
    precondition(streams == 1 && count >= 1)
    return DecodeSession(
      model, states: states.map { layer in (0..<count).map { _ in layer[0].copy() } },
      lengths: Array(repeating: lengths[0], count: count),
      last: Array(repeating: last[0], count: count))
  }

  /// Takes one token into every stream.
  ///
  /// - Parameter ids: One token a stream.
  /// - Returns: Logits of the next token of every stream, `[streams, V]`, until the next step.
  package func step(_ ids: [Int32]) throws(DeviceError) -> View {
    precondition(ids.count == streams, "\(ids.count) tokens for \(streams) streams")
    for (stream, id) in ids.enumerated() { last[stream].append(id) }
    let rows = model.config.ngrams.map { ngram in
      last.map { ngram.row(at: $0.count - 1, of: $0) }
    }
    let hidden = try model.continued(
      ids: ids, rows: rows, positions: lengths.map(Int32.init), states: states)
    for stream in last.indices { last[stream] = last[stream].suffix(2) }
    for stream in lengths.indices { lengths[stream] += 1 }
    return try project(hidden)
  }

  /// The logits of hidden states, in memory that is used again: a step allocates nothing.
  private func project(_ hidden: View) throws(DeviceError) -> View {
    let memory: View
    if let logits, logits.rows >= hidden.rows {
      memory = logits
    } else {
      memory = try model.kernels.makeView(
        rows: hidden.rows, columns: model.config.vocabularySize)
      logits = memory
    }
    let rows = memory.rows(0..<hidden.rows)
    try model.project(hidden, into: rows)
    return rows
  }

  /// Drops streams that have ended.
  package func keep(_ kept: [Int]) {
    states = states.map { layer in kept.map { layer[$0] } }
    lengths = kept.map { lengths[$0] }
    last = kept.map { last[$0] }
  }
}
