/// What a run does about losses and gradients that cannot be right; part of its configuration,
/// because it decides which steps are taken.
package struct SafetyConfig: Codable, Sendable, Equatable {
  /// Steps in a row that may be skipped because their loss or gradient is not finite; the next one
  /// stops the run.
  package var skipBudget = 10
  /// Deviations above its running mean at which a loss is a spike; 0 for never.
  package var spikeDeviations = 8.0
  /// Whether a spike goes back to the last scheduled checkpoint and past the data since then
  /// (Chowdhery et al., PaLM, 2022, section 5.1), instead of only being told.
  package var rewind = false
  /// Rewinds of the whole run; spikes after them are only told.
  package var rewindBudget = 5

  package init() {}
}
