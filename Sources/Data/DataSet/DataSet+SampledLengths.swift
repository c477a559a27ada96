/// Lengths of sentences without reading a whole data set.
extension DataSet {
  /// Lengths of sentences, `</s>` included, at places spread evenly over a split.
  ///
  /// At each place one frame of a shard is read, and its sentences come in an order as random as that
  /// of training. A sentence longer than a frame counts with the length of its shard's longest.
  package func sampledLengths(
    split: String, places: Int, seed: UInt64
  ) throws -> [Int] {
    let shards = try self.split(split).filter { $0.ids > 0 }
    let total = shards.reduce(0) { $0 + $1.ids }
    var lengths: [Int] = []
    var seen: Set<[Int]> = []
    for place in 0..<places {
      var rest = Int((Double(place) + 0.5) / Double(places) * Double(total))
      guard
        let index = shards.firstIndex(where: { shard in
          if rest < shard.ids { return true }
          rest -= shard.ids
          return false
        })
      else { break }
      let reader = try reader(for: shards[index])
      let frame = min(reader.frameCount - 1, rest * reader.frameCount / shards[index].ids)
      guard seen.insert([index, frame]).inserted else { continue }
      let found = try self.lengths(
        of: reader.decodeFrame(frame), longest: shards[index].longestSentence)
      let order = SeededOrder(seed: seed, UInt64(place)).permutation(found.count)
      lengths += order.map { found[Int($0)] }
    }
    return lengths
  }

  private func lengths(of ids: [Int32], longest: Int) -> [Int] {
    var lengths: [Int] = []
    var start = 0
    for (place, id) in ids.enumerated() where id == special.eos {
      lengths.append(place + 1 - start)
      start = place + 1
    }
    return start == 0 ? [longest + 1] : lengths
  }
}
