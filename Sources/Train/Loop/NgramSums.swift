import Communication
import LMData
import Model
import Tensor

/// The gradient of the rows of n-grams of a step, added up over shares and ranks as that of the weights.
///
/// All ranks know which rows the whole step touches, exchange the sums of these alone, and move them alike.
final class NgramSums {
  /// The sums of the rank's own nodes, `[capacity, C]`; the first of them is the step's.
  let nodes: [View]
  /// For the right halves of nodes, by depth.
  let halves: [View]
  private let config: RunConfig
  private let kernels: any Kernels
  /// Adds the sums of all ranks; nil for one.
  private let sum: GradientSum?
  private var touched: TouchedRows?

  /// - Parameters:
  ///   - config: The run.
  ///   - kernels: Where it is trained.
  ///   - communicator: Who trains it together.
  ///   - tree: How shares are added up.
  ///   - depth: Levels of the rank's largest node.
  ///   - positions: Of a step at most.
  /// - Returns: Nil if the model has no n-grams.
  /// - Throws: `DeviceError.outOfMemory` if the device has no memory for them.
  init?(
    _ config: RunConfig, kernels: any Kernels, _ communicator: any Communicator, _ tree: ShareTree,
    depth: Int, positions: Int
  ) throws(DeviceError) {
    if config.model.ngrams.isEmpty { return nil }
    self.config = config
    self.kernels = kernels
    let rows = NgramGradients.rows(config.model, positions: positions)
    func make(_ count: Int) throws(DeviceError) -> [View] {
      var made: [View] = []
      for _ in 0..<count {
        made.append(try kernels.makeView(rows: rows, columns: config.model.width))
      }
      return made
    }
    nodes = try make(tree.nodes(of: communicator.rank).count)
    halves = try make(depth)
    sum =
      communicator.size == 1
      ? nil
      : try GradientSum(
        kernels, communicator, tree,
        Partition(numbers: rows * config.model.width, ranks: communicator.size))
  }

  /// Numbers that a rank holds, of every buffer.
  static func numbers(_ config: RunConfig, positions: Int, ranks: Int, rank: Int) -> [Int] {
    let count = NgramGradients.rows(config.model, positions: positions) * config.model.width
    if count == 0 { return [] }
    let tree = ShareTree(shares: config.shares, ranks: ranks)
    let own = tree.nodes(of: rank)
    let buffers = Array(repeating: count, count: own.count + StepGradient.depth(own))
    if ranks == 1 { return buffers }
    return buffers + [
      GradientSum.receivedNumbers(tree, Partition(numbers: count, ranks: ranks), rank: rank)
    ]
  }

  /// Finds out which rows a step touches.
  func begin(_ batch: Batch) {
    touched = TouchedRows(config.model, ids: batch.ids, starts: batch.starts)
  }

  /// The gradients of the step's rows in one of the sums.
  func gradients(in sums: View) -> NgramGradients? {
    touched.map { NgramGradients($0, sums: sums) }
  }

  /// Adds up the sums of all ranks; every rank has all of it afterwards.
  func addRanks() throws {
    guard let sum else { return }
    for segment in sum.partition.segments { try sum.add(segment, nodes.map(\.flat)) }
    try sum.gather(nodes[0].flat)
  }

  /// Moves the rows that the step has touched.
  func move(_ tables: NgramTables) throws(DeviceError) {
    guard let gradients = gradients(in: nodes[0]) else { return }
    let rate = Float(config.optimizer.ngramRate ?? OptimizerConfig.defaultNgramRate)
    for (index, table) in tables.tables.enumerated() {
      kernels.moveRows(
        table: table.rows, squares: table.squares, gradients: gradients.part(index),
        rows: try kernels.place(gradients.touched.rows[index]), rate: rate)
    }
  }
}

extension View {
  /// Contiguous memory as one row.
  var flat: View { View(buffer, offset: offset, rows: 1, columns: count) }
}
