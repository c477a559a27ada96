import Communication
import Eval
import LMData
import Model
import Storage

/// What the loop does when something is wrong.
extension Trainer {
  /// Throws on all ranks if one of them has other weights than the others, or computes otherwise.
  ///
  /// - Parameter batch: The step to be computed, whose gradient is tried; nil for the weights alone.
  func requireAgreement(on batch: Batch? = nil) throws {
    guard communicator.size > 1 else { return }
    let agreement = RankAgreement(communicator) { [store] in store.steps().last }
    try agreement.check(parameters, before: step + 1)
    if let batch {
      try agreement.check(GradientProbe(gradient, fault: probeFault), batch, step: step + 1)
    }
  }

  func tell(_ incident: Incident) throws {
    try communicator.onRoot { try writer?.append(incident) }
    tell(.incident(incident))
  }

  /// Goes back to the last scheduled checkpoint, keeping the place in the data.
  ///
  /// Only scheduled checkpoints are taken, which an interrupted run has as well: a run that is
  /// killed afterwards comes to the same spike and goes back to the same weights.
  ///
  /// - Returns: Whether there was a checkpoint to go back to, and budget for it.
  func rewind(past cursor: Cursor, _ incident: Incident) throws -> Bool {
    let rewinds = state.safety?.rewinds ?? 0
    guard config.safety.rewind, rewinds < config.safety.rewindBudget else { return false }
    let target = try communicator.broadcast(store.scheduled(config, upTo: state.step) ?? -1)
    guard target >= 0 else { return false }
    try communicator.onRoot { try CheckpointFolder.verify(store.path(step: target)) }
    var restored: TrainState
    do {
      restored = try communicator.together {
        try store.load(
          step: target, config: config, parameters: parameters, optimizer: optimizer,
          average: average, scratch: gradient.gradients)
      }
    } catch {
      // Weights that were read in part must not be saved as this error passes.
      throw TrainingError.invalid("\(error)")
    }
    model.weightsChanged()
    restored.config = config
    restored.cursor = cursor
    restored.trainedSeconds = state.trainedSeconds
    restored.safety = restored.safety ?? SafetyState()
    restored.safety?.rewinds = rewinds + 1
    try communicator.onRoot { try store.forget(after: target, of: restored) }
    state = restored
    saved = (target, state.trainedSeconds)
    var told = incident
    told.kind = .rewind
    told.target = target
    try tell(told)
    return true
  }
}
