import Dispatch
import Model
import Storage
import Synchronization

/// Compares the weights of a checkpoint with their checksum while they are already in use: sampling and
/// scoring begin at once, and damage is still reported.
package final class WeightCheck: Sendable {
  private let problem = Mutex<String?>(nil)
  private let group = DispatchGroup()

  /// Starts the comparison; a checkpoint without checksums passes.
  package init(_ trained: TrainedModel) {
    let (path, name) = (trained.path, trained.weightsName)
    guard (try? CheckpointFolder.hasSums(path)) == true else { return }
    DispatchQueue.global(qos: .utility).async(group: group) { [self] in
      do {
        try CheckpointFolder.verify(path, only: [name, NgramFile.name])
      } catch {
        problem.withLock { $0 = "\(error)" }
      }
    }
  }

  /// Waits for the comparison; what is wrong with the weights, or nil.
  package var damage: String? {
    group.wait()
    return problem.withLock { $0 }
  }

  /// Waits for the comparison.
  ///
  /// - Parameter consequence: What damage means for the samples or figures, for the error.
  /// - Throws: `EvaluationError.invalid` if the weights are damaged.
  package func finish(_ consequence: String) throws(EvaluationError) {
    if let damage { throw .invalid(damage + "; " + consequence) }
  }

  /// Runs `body` and waits for the comparison; if the weights are damaged, that is the error thrown.
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
