import Host
import Tensor

/// One row of partial sums per task, added in task order so that threads cannot matter.
struct PartialSums: Sendable {
  private let sums: View  // [tasks, width]

  init(count: Int, width: Int, _ scratch: inout Scratch) {
    sums = scratch.takeView(rows: count, columns: width)
  }

  func clear() { sums.fill(0) }

  subscript(task: Int) -> UnsafeMutablePointer<Float> { sums.base + task * sums.columns }

  /// Adds every row to the row of its head; task numbers run fastest over heads.
  func add(to destination: View, heads: Int) {
    for task in 0..<sums.rows {
      let row = destination.base + task % heads * destination.stride
      for column in 0..<sums.columns { row[column] += self[task][column] }
    }
  }
}
