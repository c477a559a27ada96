import Deterministic
import Tensor

/// Seeded ids of ragged sequences, as the model reads them: `<s>` (1) in, `</s>` (2) last.
package struct TinySequences: Sendable {
  package let ids: [Int32]
  package let targets: [Int32]
  package let starts: [Int]

  /// - Parameters:
  ///   - lengths: Targets of every sequence, `</s>` included.
  ///   - vocabulary: Tokens; ids from 3 are drawn.
  package init(lengths: [Int], vocabulary: Int, seed: UInt64) {
    let random = CounterRandom(seed: seed, 0x7157)
    var ids: [Int32] = []
    var targets: [Int32] = []
    var starts = [0]
    for length in lengths {
      let drawn = (0..<length - 1).map { index in
        Int32(3 + random.bits(UInt64(starts.count * 100_003 + index)) % UInt64(vocabulary - 3))
      }
      ids += [1] + drawn
      targets += drawn + [2]
      starts.append(targets.count)
    }
    self.ids = ids
    self.targets = targets
    self.starts = starts
  }

  /// One of the sequences alone.
  package func sequence(_ index: Int) -> (ids: [Int32], targets: [Int32]) {
    let range = starts[index]..<starts[index + 1]
    return (Array(ids[range]), Array(targets[range]))
  }
}
