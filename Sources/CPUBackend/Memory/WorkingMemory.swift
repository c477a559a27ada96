import Deterministic
import Host
import Synchronization
import Tensor

/// What kernels borrow while they run, beyond the tensors they are given.
enum WorkingMemory {
  /// Sees requests come and go on one thread.
  final class Recorder: Sendable {
    private struct State {
      var need = WorkingNeed()
      /// What is held at the moment, and whether more has been asked for meanwhile.
      var held: [(count: Int, isShared: Bool)] = []
    }

    private let state = Mutex(State())

    var need: WorkingNeed { state.withLock { $0.need } }

    func lend(_ count: Int) {
      state.withLock { state in
        for index in state.held.indices { state.held[index].isShared = true }
        state.held.append((count, false))
      }
    }

    func giveBack(_ count: Int) {
      state.withLock { state in
        guard let last = state.held.popLast() else { return }
        if last.isShared {
          state.need.shared = max(state.need.shared, last.count)
        } else {
          state.need.task = max(state.need.task, last.count)
        }
      }
    }
  }

  /// What `body` borrows; it runs on this thread alone.
  static func need(_ body: () -> Void) -> WorkingNeed {
    let recorder = Recorder()
    ScratchPool.$recorder.withValue(recorder) { Parallel.serially(body) }
    return recorder.need
  }

  /// Bytes of the buffers that a training step keeps between calls.
  static func bytes(_ plan: WorkPlan) -> Int {
    counts(plan).reduce(0) { $0 + HostMemory.bytes(count: ScratchPool.allocated($1)) }
  }

  /// Floats of each of these buffers.
  ///
  /// Attention holds what its tasks share and a buffer for every thread that has a task; the head a
  /// block of logits, the panels of a product and a buffer for every thread's part of it; Muon its
  /// matrices instead of the logits. All use the same buffers, one after the other.
  static func counts(_ plan: WorkPlan) -> [Int] {
    let threads = Parallel.threads
    let tasks = min(threads, plan.attentionTasks)
    let attention =
      Array(repeating: plan.attention.task, count: tasks) + [plan.attention.shared]
      + Array(repeating: 0, count: threads - tasks + 1)
    let muon = muonScratchFloats(plan.muon, form: plan.muonForm)
    let logits = heads(plan).map { crossEntropyScratchFloats(vocabulary: $0) }.max() ?? 0
    let head =
      [max(muon.matrices, logits), max(muon.panels, panels(plan))]
      + Array(repeating: 0, count: threads)
    return zip(attention.sorted(by: >), head.sorted(by: >)).map { max($0, $1) }
  }

  /// Rows of the heads that a loss normalises over: all, and those of a sampled loss.
  ///
  /// They are cut into chunks by their number, so that fewer rows may need more memory.
  private static func heads(_ plan: WorkPlan) -> [Int] {
    plan.candidates > 0 ? [plan.vocabulary, plan.candidates] : [plan.vocabulary]
  }

  /// Floats of panels of the largest product.
  private static func panels(_ plan: WorkPlan) -> Int {
    plan.products.reduce(
      heads(plan).map { crossEntropyPanelFloats(vocabulary: $0, width: plan.width) }.max() ?? 0
    ) { largest, product in
      max(
        largest, productPanelFloats(columns: product.outputs, steps: product.inputs),
        productPanelFloats(columns: product.inputs, steps: product.outputs),
        productPanelFloats(columns: product.inputs, steps: plan.positions))
    }
  }
}
