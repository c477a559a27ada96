import Model
import Storage
import Tensor

/// What makes a run another one.
extension RunConfig {
  /// The first thing that another run would compute differently, by its key in JSON, or nil.
  ///
  /// What is reported, and when, does not count; nor do the steps of the whole run if the learning
  /// rates and losses of those taken do not depend on it.
  ///
  /// - Parameters:
  ///   - other: The other run.
  ///   - taken: Steps taken so far.
  package func difference(
    from other: RunConfig, taken: Int
  ) -> (found: String, expected: String)? {
    var comparable = other
    comparable.report = report
    if taken <= other.steps,
      (0..<taken).allSatisfy({
        rate(step: $0 + 1) == other.rate(step: $0 + 1)
          && candidates(step: $0 + 1) == other.candidates(step: $0 + 1)
      })
    {
      comparable.steps = steps
    }
    let (own, others) = (withoutDefaults, comparable.withoutDefaults)
    guard own != others else { return nil }
    let leaves = [own, others].map { config in
      Dictionary(JSONLeaves.of(config).map { ($0.key, $0.value) }) { first, _ in first }
    }
    let keys = Set(leaves[0].keys).union(leaves[1].keys).sorted()
    guard let key = keys.first(where: { leaves[0][$0] != leaves[1][$0] }) else {
      return ("another configuration", "this one")
    }
    func told(_ value: String?) -> String { value.map { "\(key) \($0)" } ?? "no \(key)" }
    return (told(leaves[0][key]), told(leaves[1][key]))
  }

  /// The same run, with nil for all that is so without being said.
  private var withoutDefaults: RunConfig {
    var config = self
    config.model.normaliseHeads()
    if gradientShares == 1 { config.gradientShares = nil }
    if precision == .float32 { config.precision = nil }
    if optimizer.embeddingRate == optimizer.rate { config.optimizer.embeddingRate = nil }
    if optimizer.matrixRate == optimizer.rate { config.optimizer.matrixRate = nil }
    if optimizer.ngramRate == OptimizerConfig.defaultNgramRate { config.optimizer.ngramRate = nil }
    if optimizer.muonForm == .standard { config.optimizer.muonForm = nil }
    if optimizer.freezesEmbedding == false { config.optimizer.freezesEmbedding = nil }
    return config
  }
}
