import Dispatch
import Model
import Storage
import Synchronization

/// Compares the weights of a checkpoint with their sum while they are used already: samples begin
/// at once, and damaged weights are told of all the same.
package final class WeightCheck: Sendable {
  private let problem = Mutex<String?>(nil)
  private let group = DispatchGroup()

  /// Begins to read; a checkpoint without sums passes.
  package init(_ trained: TrainedModel) {
    let path = trained.path
    guard Files.exists(path + "/" + CheckpointFolder.sumsName) else { return }
    DispatchQueue.global(qos: .utility).async(group: group) { [self] in
      do {
        try CheckpointFolder.verify(path, only: [ModelFiles.weightsName])
      } catch {
        problem.withLock { $0 = "\(error)" }
      }
    }
  }

  /// Waits for the outcome.
  ///
  /// - Throws: `EvaluationError.invalid` if the weights are damaged.
  package func finish() throws(EvaluationError) {
    group.wait()
    if let problem = problem.withLock({ $0 }) {
      throw .invalid(problem + "; what was sampled above came from damaged weights")
    }
  }
}
