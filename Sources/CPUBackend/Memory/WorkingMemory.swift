import Deterministic
import Synchronization
import Tensor

/// What kernels borrow while they run, beyond the tensors they are given.
package enum WorkingMemory {
  /// The largest requests of a piece of work, in floats.
  package struct Need: Sendable, Equatable {
    /// Of one task: every thread has as much.
    package var task = 0
    /// Of what tasks share: held by the caller while they run.
    package var shared = 0

    package init(task: Int = 0, shared: Int = 0) {
      self.task = task
      self.shared = shared
    }
  }

  /// Sees requests come and go on one thread.
  final class Recorder: Sendable {
    private struct State {
      var need = Need()
      /// What is held at the moment, and whether more has been asked for meanwhile.
      var held: [(count: Int, isShared: Bool)] = []
    }

    private let state = Mutex(State())

    var need: Need { state.withLock { $0.need } }

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
  package static func need(_ body: () -> Void) -> Need {
    let recorder = Recorder()
    ScratchPool.$recorder.withValue(recorder) { Parallel.serially(body) }
    return recorder.need
  }

  /// Bytes of the buffers that a training step keeps between calls.
  ///
  /// Attention holds what its tasks share and a buffer for every thread; the head a block of logits,
  /// the panels of a product and a buffer for every thread's part of it; Muon its matrices instead of
  /// the logits. All use the same buffers, one after the other.
  ///
  /// - Parameters:
  ///   - vocabulary: Pieces of the vocabulary.
  ///   - panels: Floats of panels of the model's largest product.
  ///   - optimizer: Floats that the optimizer holds while it moves one weight.
  ///   - attention: What one layer's attention borrows.
  package static func bytes(
    vocabulary: Int, panels: Int, optimizer: Int = 0, attention: Need
  ) -> Int {
    let threads = Parallel.threads
    let attention = Array(repeating: attention.task, count: threads) + [attention.shared, 0]
    let head =
      [max(crossEntropyScratchFloats(vocabulary: vocabulary), optimizer), panels]
      + Array(repeating: 0, count: threads)
    return zip(attention.sorted(by: >), head.sorted(by: >)).reduce(0) {
      $0 + Buffer.bytes(count: ScratchPool.allocated(max($1.0, $1.1)))
    }
  }

  /// Gives back all buffers that no kernel uses at the moment.
  package static func release() { ScratchPool.drain() }
}
