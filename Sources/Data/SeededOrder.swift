import Deterministic

/// Random orders that are pure functions of a seed and a few numbers.
///
/// Numbers come from SplitMix64 run as a counter.
package struct SeededOrder {
  private let key: UInt64

  /// The orders keyed by a seed and any numbers, for example those of an epoch and a shard.
  package init(seed: UInt64, _ numbers: UInt64...) {
    var key = SplitMix64.mix(seed)
    for number in numbers { key = SplitMix64.mix(key ^ number) }
    self.key = key
  }

  /// A permutation of `0..<count` (Fisher and Yates).
  ///
  /// Index `i` is drawn as the high word of `random · (i + 1)`; the bias, below `count / 2⁶⁴`, is
  /// the price of one draw for each place.
  package func permutation(_ count: Int) -> [UInt32] {
    precondition(count <= Int(UInt32.max), "\(count) sequences in one shard")
    var order = Array(0..<UInt32(count))
    for i in stride(from: count - 1, to: 0, by: -1) {
      let random = SplitMix64.mix(key &+ UInt64(i) &* SplitMix64.increment)
      order.swapAt(i, Int(random.multipliedFullWidth(by: UInt64(i + 1)).high))
    }
    return order
  }
}
