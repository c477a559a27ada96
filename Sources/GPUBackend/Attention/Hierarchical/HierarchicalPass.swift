import CUDASource
import Tensor

/// The launches of hierarchical attention over a batch: a few, whatever the number of sequences.
///
/// Short sequences take one launch each way; the others one for every four levels of means, one for
/// rows of high levels, and one or two for their positions.
struct HierarchicalPass {
  private let kernels: GPUKernels
  private var tiling: AttentionTiling
  private let plan: HierarchicalPlan
  private let arguments: AttentionArguments
  private let isFine: Bool

  init(
    _ kernels: GPUKernels, _ tiling: AttentionTiling, _ plan: HierarchicalPlan,
    _ arguments: AttentionArguments, isFine: Bool
  ) {
    self.kernels = kernels
    self.tiling = tiling
    self.plan = plan
    self.arguments = arguments
    self.isFine = isFine
  }

  /// Bytes of a matrix of means, and of one of logarithms.
  private var meanBytes: Int {
    plan.hasLevels ? tiling.bytes(rows: Int(arguments.positions)) : 0
  }
  private var rowBytes: Int { 4 * tiling.heads * Int(arguments.positions) }
  private var farBytes: Int { 4 * plan.farRows * tiling.columns }
  private var farRowBytes: Int { 4 * plan.farRows * tiling.heads }

  func forward() {
    let hasFarQueries = plan.farForward.count > 0
    let sizes = [
      meanBytes, meanBytes, hasFarQueries ? farBytes : 0, hasFarQueries ? farRowBytes : 0,
      hasFarQueries ? farRowBytes : 0,
    ]
    kernels.scratch.lend(sizes) { parts in
      var arguments = arguments
      arguments.keyMeans = parts[0]
      arguments.valueMeans = parts[1]
      arguments.farA = parts[2]
      arguments.farMax = parts[3]
      arguments.farSum = parts[4]
      // Long sequences are few tiles, and wait for each other's launches.
      kernels.together { [arguments] driver in
        on(driver).longForward(arguments)
      } with: {
        forward("hierarchical_short_forward", arguments, plan.short)
      }
    }
  }

  private func longForward(_ arguments: AttentionArguments) {
    tiling.rotate("rotate_inputs", arguments, plan.lists[plan.long])
    for list in plan.means { forward("hierarchical_means", arguments, list, depth: 2) }
    forward("hierarchical_far_forward", arguments, plan.farForward)
    forward("hierarchical_forward", arguments, plan.long)
  }

  /// The same where kernels run on another driver of the card.
  private func on(_ driver: any GPUDriver) -> HierarchicalPass {
    var other = self
    other.tiling = tiling.on(driver)
    return other
  }

  private func forward(
    _ name: String, _ arguments: AttentionArguments, _ list: TileLists.List, depth: Int = 1
  ) {
    tiling.launch("hierarchical_forward", name, arguments, plan.lists[list], depth: depth)
  }

  /// - Parameter dBias: Is added to, `[H, B]`.
  func backward(dBias: View?) {
    let biasLength = dBias?.columns ?? 0
    let shortBlocks = AttentionTiling.blocks(plan.short.count)
    let blocks = shortBlocks + AttentionTiling.blocks(plan.long.count)
    let hasSums = plan.hasLevels && !isFine
    let sizes = [
      meanBytes, meanBytes, hasSums ? meanBytes : 0, hasSums ? rowBytes : 0,
      hasSums ? rowBytes : 0, rowBytes, farBytes, farBytes,
      4 * tiling.heads * blocks * biasLength,
    ]
    kernels.scratch.lend(sizes) { parts in
      var arguments = arguments
      arguments.keyMeans = parts[0]
      arguments.valueMeans = parts[1]
      arguments.gradientMeans = parts[2]
      arguments.rowLogs = parts[3]
      arguments.rowDots = parts[4]
      arguments.dots = parts[5]
      arguments.farA = parts[6]
      arguments.farB = parts[7]
      var shared = 0
      if biasLength > 0 {
        arguments.tallies = parts[8]
        arguments.tallyRows = Int32(blocks)
        shared = AttentionTiling.tallyBytes(biasLength)
      }
      let short = arguments
      arguments.firstTally = Int32(shortBlocks)
      kernels.together { [arguments] driver in
        on(driver).longBackward(arguments, sharedBytes: shared)
      } with: {
        backward("hierarchical_short_backward", short, plan.short, sharedBytes: shared)
      }
      if let dBias { kernels.addTallies(parts[8], blocks: blocks, to: dBias) }
    }
  }

  private func longBackward(_ arguments: AttentionArguments, sharedBytes: Int) {
    for list in plan.means { forward("hierarchical_means", arguments, list, depth: 2) }
    backward("hierarchical_gradient_means", arguments, plan.long)
    if !isFine {
      for list in plan.means.dropFirst() {
        backward("hierarchical_gradient_means", arguments, list)
      }
    }
    backward("hierarchical_far_keys", arguments, plan.farKeys)
    addFarChunks(arguments)
    backward("hierarchical_keys", arguments, plan.long)
    backward("hierarchical_queries", arguments, plan.long, sharedBytes: sharedBytes)
    tiling.rotate("rotate_gradients", arguments, plan.lists[plan.long])
  }

  private func backward(
    _ name: String, _ arguments: AttentionArguments, _ list: TileLists.List, sharedBytes: Int = 0
  ) {
    tiling.launch(
      "hierarchical_backward", name, arguments, plan.lists[list], sharedBytes: sharedBytes)
  }

  private func addFarChunks(_ arguments: AttentionArguments) {
    let (address, count) = plan.lists[plan.farChunks]
    tiling.driver.launch(
      tiling.kernel("hierarchical_backward", "hierarchical_far_chunks"),
      grid: GPUGrid(count, tiling.heads), block: 128, arguments, address)
  }
}
