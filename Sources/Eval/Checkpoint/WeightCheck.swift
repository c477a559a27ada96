import Dispatch
import Model
import Storage
import Synchronization

/// Compares the weights of a checkpoint with their sum while they are used already: samples and
/// scores begin at once, and damaged weights are told of all the same.
package final class WeightCheck: Sendable {
  private let problem = Mutex<String?>(nil)
  private let group = DispatchGroup()

  /// Begins to read; a checkpoint without sums passes.
  package init(_ trained: TrainedModel) {
    let path = trained.path
    guard (try? CheckpointFolder.hasSums(path)) == true else { return }
    DispatchQueue.global(qos: .utility).async(group: group) { [self] in
      do {
        try CheckpointFolder.verify(path, only: [ModelFiles.weightsName])
      } catch {
        problem.withLock { $0 = "\(error)" }
      }
    }
  }

  /// Waits for the outcome: what is wrong with the weights, if anything is.
  package var damage: String? {
    group.wait()
    return problem.withLock { $0 }
  }

  /// Waits for the outcome.
  ///
  /// - Parameter consequence: What is to be thought of what came out of damaged weights.
  /// - Throws: `EvaluationError.invalid` if the weights are damaged.
  package func finish(_ consequence: String) throws(EvaluationError) {
    if let damage { throw .invalid(damage + "; " + consequence) }
  }

  /// Runs `body` and waits for the outcome; damaged weights are the reason of any error of it.
  package func during<Result>(_ body: () throws -> Result) throws -> Result {
    let consequence = "no figure of them is printed"
    do {
      let result = try body()
      try finish(consequence)
      return result
    } catch {
      try finish(consequence)
      throw error
    }
  }
}
