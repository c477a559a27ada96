import Model
import Tensor

/// Numbers that are infinite or none: they neither come into a run nor are they saved.
extension Trainer {
  /// Steps of the whole run that were skipped.
  package var skippedSteps: Int { state.safety?.skipped ?? 0 }

  /// Throws before a checkpoint of weights that are not finite is written.
  func requireFiniteWeights() throws {
    guard let problem = try problemOfWeights() else { return }
    let before =
      saved.step > 0
      ? "the last checkpoint is that of step \(saved.step)" : "there is no checkpoint yet"
    throw TrainingError.invalid(
      "step \(step): \(problem), expected finite weights: they were not saved, and \(before); start "
        + "another run with a lower --rate, --ngram-rate or --weight-decay")
  }

  /// Throws if a run begins, or goes on, with weights that are not finite.
  ///
  /// - Parameter origin: Where they are from.
  func requireFiniteWeights(of origin: String) throws {
    guard let problem = try problemOfWeights() else { return }
    throw TrainingError.invalid(
      "\(problem) in \(origin), expected finite weights; begin a run with --init-from and another checkpoint"
    )
  }

  /// Throws if no step of the run was taken: what it would end with is what it began with.
  func requireTakenStep() throws(TrainingError) {
    guard step > 0, skippedSteps >= step else { return }
    throw .invalid(
      "all \(step) steps had a loss or a gradient that is not finite and were skipped, so the weights are "
        + "those that the run began with; start another run with a lower --rate, or look at the steps in "
        + "\(store.run)/\(IncidentLog.name)")
  }

  /// The first tensor with numbers that are not finite, as the beginning of a sentence; nil if all are.
  private func problemOfWeights() throws(DeviceError) -> String? {
    let weights = parameters.layout.slots.map { (name: $0.name, view: parameters.view($0)) }
    var groups = [(whole: parameters.all, parts: weights)]
    for table in parameters.ngrams?.tables ?? [] {
      groups.append((table.rows, [(table.ngram.name, table.rows)]))
      groups.append((table.squares, [("squares." + table.ngram.name, table.squares)]))
    }
    for (whole, parts) in groups {
      // One sum tells of all; where finite numbers have a square that is not, they are looked at.
      if try kernels.sumOfSquares(whole).isFinite { continue }
      for (name, view) in parts {
        let numbers = try kernels.numbers(of: view)
        let count = numbers.count { !$0.isFinite }
        if count > 0 { return "\(count) of \(numbers.count) numbers of \(name) are not finite" }
      }
    }
    return nil
  }
}
