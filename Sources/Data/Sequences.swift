/// What one sequence is.
package enum SequenceMode: Equatable, Sendable {
  /// One sentence, its context reset at its beginning.
  case sentences

  /// A window of so many targets on the shard read as one stream, `</s>` included.
  ///
  /// The first input is the piece before the window, or `<s>` at the start of a shard.
  case stream(length: Int)

  /// Number of sequences in a shard.
  package func count(in shard: ShardInfo) -> Int {
    switch self {
    case .sentences:
      return shard.sentences
    case .stream(let length):
      precondition(length > 0, "windows of \(length) pieces")
      return (shard.ids + length - 1) / length
    }
  }

  /// Places in a shard that the targets of a sequence take.
  func range(of sequence: Int, in shard: DecodedShard) -> Range<Int> {
    switch self {
    case .sentences:
      return shard.starts[sequence]..<shard.starts[sequence + 1]
    case .stream(let length):
      return sequence * length..<min((sequence + 1) * length, shard.ids.count)
    }
  }

  /// What is read before the first target of a sequence.
  func previous(to range: Range<Int>, in shard: DecodedShard, bos: Int32) -> Int32 {
    if self == .sentences || range.lowerBound == 0 { return bos }
    return shard.ids[range.lowerBound - 1]
  }
}
