/// What one sequence of a batch is.
package enum SequenceMode: Equatable, Sendable {
  /// One sentence, without context from before it.
  case sentences

  /// A window of `length` targets, `</s>` included, on the shard read as one stream.
  ///
  /// The first input is the token before the window, or `<s>` at the start of a shard.
  case stream(length: Int)

  /// The same windows, but each begins `stride` targets after the one before: of a window's targets only
  /// the last `stride` are new, and the others are context for them. In the first all are.
  case overlapping(length: Int, stride: Int)

  /// Number of sequences in a shard.
  package func count(in shard: ShardInfo) -> Int {
    switch self {
    case .sentences:
      return shard.sentences
    case .stream(let length):
      precondition(length > 0, "windows of \(length) tokens")
      return (shard.ids + length - 1) / length
    case .overlapping(let length, let stride):
      precondition((1...length).contains(stride), "windows of \(length), a stride of \(stride)")
      return shard.ids == 0 ? 0 : 1 + (max(0, shard.ids - length) + stride - 1) / stride
    }
  }

  /// Targets at the beginning of a sequence that an earlier one has predicted.
  func context(of sequence: Int) -> Int {
    if case .overlapping(let length, let stride) = self, sequence > 0 { return length - stride }
    return 0
  }

  /// Indices of the targets of a sequence among the ids of its shard.
  func range(of sequence: Int, in shard: DecodedShard) -> Range<Int> {
    switch self {
    case .sentences:
      return shard.starts[sequence]..<shard.starts[sequence + 1]
    case .stream(let length):
      return sequence * length..<min((sequence + 1) * length, shard.ids.count)
    case .overlapping(let length, let stride):
      return sequence * stride..<min(sequence * stride + length, shard.ids.count)
    }
  }

  /// The first input of a sequence: the id before its first target, or `<s>`.
  func previous(to range: Range<Int>, in shard: DecodedShard, bos: Int32) -> Int32 {
    if self == .sentences || range.lowerBound == 0 { return bos }
    return shard.ids[range.lowerBound - 1]
  }
}
