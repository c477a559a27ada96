import Tensor

/// Consecutive sequences and one head: a unit of parallel work.
///
/// Short sequences are taken together so that a task outweighs its start. The cut follows from
/// the lengths alone.
struct AttentionTasks: Sendable {
  let heads: Int
  /// Sequence numbers of each group.
  let groups: [Range<Int>]
  let longest: Int

  init(starts: [Int], heads: Int) {
    self.heads = heads
    var groups = [Range<Int>]()
    var longest = 0
    var first = 0
    for sequence in 0..<max(starts.count - 1, 0) {
      precondition(starts[sequence] <= starts[sequence + 1], "starts must not decrease")
      longest = max(longest, starts[sequence + 1] - starts[sequence])
      if starts[sequence + 1] - starts[first] >= AttentionTile.taskPositions {
        groups.append(first..<sequence + 1)
        first = sequence + 1
      }
    }
    if first < starts.count - 1 { groups.append(first..<starts.count - 1) }
    self.groups = groups
    self.longest = longest
  }

  var count: Int { groups.count * heads }

  func group(_ task: Int) -> Range<Int> { groups[task / heads] }
  func head(_ task: Int) -> Int { task % heads }
}
