import CUDASource
package import Tensor

/// Causal softmax attention, as in FlashAttention (Dao and others, 2022, arXiv 2205.14135): never an
/// L×L buffer, and no atomics. Row i depends, bit for bit, on rows 0...i of its sequence alone.
extension GPUKernels: SoftmaxAttentionKernels {
  package func softmaxAttention(_ shape: SoftmaxShape) throws(DeviceError) -> any AttentionOperator
  {
    SoftmaxOperator(kernels: self, heads: shape.heads, group: shape.group, scale: shape.scale)
  }
}

struct SoftmaxOperator: AttentionOperator {
  let kernels: GPUKernels
  let heads: Int
  /// Heads of queries that share a head of keys and values in a stream.
  let group: Int
  let scale: Float

  var rotates: Bool { true }

  func forward(_ tensors: AttentionTensors, _ pass: AttentionPass) {
    guard tensors.q.rows > 0 else { return }
    guard let tiling = AttentionTiling(kernels.driver, heads: heads, tensors) else {
      kernels.rotate(tensors, [tensors.q, tensors.k], pass, heads: heads, inverse: false)
      return plain(tensors, pass).forward()
    }
    guard let plan = plan(pass.sequences) else { return }
    kernels.withFloats(of: tensors.bias) { bias in
      var arguments = AttentionArguments(tensors, bias: bias, heads: heads, scale: scale)
      arguments.keep(tensors.saved)
      arguments.rotate(by: kernels.rotation(tensors, pass, heads: heads))
      // Long sequences are few tiles, and wait for each other's launches.
      kernels.together { driver in
        let tiling = tiling.on(driver)
        tiling.rotate("rotate_inputs", arguments, plan.lists[plan.queries])
        tiling.launch("softmax_forward", "softmax_forward", arguments, plan.lists[plan.queries])
      } with: {
        tiling.launch(
          "softmax_forward", "softmax_short_forward", arguments, plan.lists[plan.short])
      }
    }
  }

  func backward(
    _ tensors: AttentionTensors, _ gradients: AttentionGradients, _ pass: AttentionPass
  ) {
    precondition(
      gradients.dBias == nil || tensors.bias != nil, "gradient of a bias that is not there")
    guard tensors.q.rows > 0 else { return }
    guard let tiling = AttentionTiling(kernels.driver, heads: heads, tensors, gradients) else {
      plain(tensors, pass).backward(gradients)
      return kernels.rotate(
        tensors, [gradients.dq, gradients.dk], pass, heads: heads, inverse: true)
    }
    guard let plan = plan(pass.sequences) else { return }
    let biasLength = gradients.dBias?.columns ?? 0
    let shortBlocks = AttentionTiling.blocks(plan.short.count)
    let blocks = shortBlocks + AttentionTiling.blocks(plan.queries.count)
    kernels.withFloats(of: tensors.bias) { bias in
      var arguments = AttentionArguments(tensors, bias: bias, heads: heads, scale: scale)
      arguments.keep(tensors.saved)
      arguments.rotate(by: kernels.rotation(tensors, pass, heads: heads))
      arguments.add(gradients)
      let sizes = [4 * heads * tensors.q.rows, 4 * heads * blocks * biasLength]
      kernels.scratch.lend(sizes) { [arguments] parts in
        var arguments = arguments
        arguments.dots = parts[0]
        let shared = biasLength > 0 ? AttentionTiling.tallyBytes(biasLength) : 0
        if biasLength > 0 {
          arguments.tallies = parts[1]
          arguments.tallyRows = Int32(blocks)
        }
        let short = arguments
        arguments.firstTally = Int32(shortBlocks)
        kernels.together { [arguments] driver in
          let tiling = tiling.on(driver)
          func launch(_ name: String, _ list: TileLists.List, sharedBytes: Int = 0) {
            tiling.launch(
              "softmax_backward", name, arguments, plan.lists[list], sharedBytes: sharedBytes)
          }
          launch("softmax_dots", plan.queries)
          launch("softmax_keys", plan.keys)
          launch("softmax_queries", plan.queries, sharedBytes: shared)
          tiling.rotate("rotate_gradients", arguments, plan.lists[plan.queries])
        } with: {
          tiling.launch(
            "softmax_backward", "softmax_short_backward", short, plan.lists[plan.short],
            sharedBytes: shared)
        }
        if let dBias = gradients.dBias { kernels.addTallies(parts[1], blocks: blocks, to: dBias) }
      }
    }
  }

  private func plan(_ sequences: Sequences) -> SoftmaxPlan? {
    sequences.placedStarts.plans.plan(SoftmaxPlan.Key()) {
      kernels.attempt { () throws(DeviceError) in try SoftmaxPlan(sequences, kernels.driver) }
    }
  }

  private func plain(_ tensors: AttentionTensors, _ pass: AttentionPass) -> PlainAttentionPass {
    PlainAttentionPass(
      kernels, PlainShape(heads: heads, scale: scale), tensors, pass.sequences,
      biasLength: tensors.bias?.columns ?? 0)
  }

  func makeState(
    _ widths: HeadWidths, layer: Int, draw: AttentionDraw
  ) throws(DeviceError) -> any AttentionState {
    StreamState(kernels, keepsQueries: false, keepsMeans: false)
  }

  func step(_ tensors: AttentionTensors, _ states: [any AttentionState]) {
    let tiling = AttentionTiling(
      kernels.driver, heads: heads, widths: HeadWidths(tensors, heads: heads, group: group),
      type: tensors.q.buffer.type, biasLength: tensors.bias?.columns ?? 0)
    guard let steps = DecodingSteps(kernels, tensors, states, meansAreFloat: false) else { return }
    kernels.withFloats(of: tensors.bias) { bias in
      guard let tiling else {
        return steps.runPlain(
          PlainShape(heads: heads, group: group, scale: scale), bias: bias)
      }
      var builder = TileBuilder()
      let tiles = builder.list { tiles in
        for stream in steps.streams { tiles += stream.sequence.tiles(of: 0, rows: stream.rows) }
      }
      var arguments = steps.arguments(bias: bias, heads: heads, scale: scale)
      arguments.group = Int32(group)
      steps.run(builder.tiles) { [arguments] placed in
        var arguments = arguments
        arguments.streams = placed.streams
        tiling.launch("softmax_forward", "softmax_forward", arguments, placed[tiles])
      }
    }
  }
}
