import Model
import Tensor
import Train

/// What is asked for, beside what a run or a checkpoint has.
extension RunOptions {
  /// The first option that asks for another run than one that was begun, and what that has in its place.
  ///
  /// Steps and what is reported are not among them: they may change.
  func difference(from run: RunConfig) -> (found: String, expected: String)? {
    if let difference = difference(from: run.model) { return difference }
    let optimizer = run.optimizer
    let pairs: [(name: String, found: String, asked: String?)] = [
      ("--batch-tokens", "\(run.batchTokens)", batchTokens.map { "\($0)" }),
      ("--micro-batch-tokens", "\(run.microBatchTokens)", microBatchTokens.map { "\($0)" }),
      ("--gradient-shares", "\(run.shares)", gradientShares.map { "\($0)" }),
      (
        "--stream-length", run.data.streamLength.map { "\($0)" } ?? "none",
        streamLength.map { "\($0)" }
      ),
      ("--optimizer", optimizer.kind.rawValue, self.optimizer?.rawValue),
      ("--rate", "\(optimizer.rate)", rate.map { "\($0)" }),
      (
        "--embedding-rate", "\(optimizer.embeddingRate ?? optimizer.rate)",
        embeddingRate.map { "\($0)" }
      ),
      (
        "--matrix-rate", "\(optimizer.matrixRate ?? optimizer.rate)",
        matrixRate.map { "\($0)" }
      ),
      (
        "--ngram-rate", "\(optimizer.ngramRate ?? OptimizerConfig.defaultNgramRate)",
        ngramRate.map { "\($0)" }
      ),
      (
        "--muon-form", (optimizer.muonForm ?? .standard).rawValue, muonForm?.rawValue
      ),
      (
        "--softmax-candidates", "\(run.sampledSoftmax?.candidates ?? 0)",
        softmaxCandidates.map { "\($0)" }
      ),
      (
        "--full-softmax-share", "\(run.sampledSoftmax?.fullShare ?? 1)",
        fullSoftmaxShare.map { "\($0)" }
      ),
      ("--weight-decay", "\(optimizer.weightDecay)", weightDecay.map { "\($0)" }),
      ("--schedule", run.schedule.kind, schedule),
      (
        "--decay-share", run.schedule.decayShare.map { "\($0)" } ?? "none",
        decayShare.map { "\($0)" }
      ),
      ("--grad-clip", "\(optimizer.clipNorm)", gradClip.map { "\($0)" }),
      (
        "--betas", "\(Betas(first: optimizer.beta1, second: optimizer.beta2))",
        betas.map { "\($0)" }
      ),
      ("--ema", "\(run.averageDecay ?? 0)", ema.map { "\($0)" }),
      ("--warmup", "\(run.schedule.warmup)", warmup.map { "\($0)" }),
      ("--dropout", "\(run.dropout)", dropout.map { "\($0)" }),
      (
        "--precision", (run.precision ?? .float32).rawValue, precision?.rawValue
      ),
      ("--seed", "\(run.seed)", seed.map { "\($0)" }),
      ("--skip-budget", "\(run.safety.skipBudget)", skipBudget.map { "\($0)" }),
      (
        "--spike-deviations", "\(run.safety.spikeDeviations)",
        spikeDeviations.map { "\($0)" }
      ),
    ]
    return first(of: pairs)
      ?? first(
        of: [
          ("freeze-embedding", optimizer.freezesEmbedding ?? false, freezeEmbedding),
          ("rewind", run.safety.rewind, rewind),
        ])
  }

  /// The first option that asks for another model, and what this one has in its place.
  func difference(from model: ModelConfig) -> (found: String, expected: String)? {
    let pairs: [(name: String, found: String, asked: String?)] = [
      ("--attention", "\(model.attention)", attention.map { "\($0)" }),
      ("--position", model.position.rawValue, position?.rawValue),
      (
        "--relative-bias-length", "\(model.relativeBiasLength)",
        relativeBiasLength.map { "\($0)" }
      ),
      ("--layers", "\(model.layers)", layers.map { "\($0)" }),
      ("--width", "\(model.width)", width.map { "\($0)" }),
      ("--heads", "\(model.heads)", heads.map { "\($0)" }),
      ("--kv-heads", "\(model.keyValueHeads)", kvHeads.map { "\($0)" }),
      ("--head-dim", "\(model.headWidth)", headDim.map { "\($0)" }),
      ("--hidden", "\(model.hidden)", hidden.map { "\($0)" }),
      ("--bigram-rows", "\(model.bigramRows)", bigramRows.map { "\($0)" }),
      ("--trigram-rows", "\(model.trigramRows)", trigramRows.map { "\($0)" }),
      ("--cutoffs", "\(Cutoffs(ids: model.cutoffs))", cutoffs.map { "\($0)" }),
      ("--cluster-factor", "\(model.clusterFactor)", clusterFactor.map { "\($0)" }),
    ]
    return first(of: pairs)
      ?? first(
        of: [
          ("tied-head", model.tiedHead, tiedHead), ("qk-norm", model.qkNorm, qkNorm),
          ("qkv-bias", model.qkvBias, qkvBias),
          ("zero-init-residual", model.zeroInitResidual, zeroInitResidual),
        ])
  }

  private func first(
    of pairs: [(name: String, found: String, asked: String?)]
  ) -> (found: String, expected: String)? {
    for pair in pairs {
      if let asked = pair.asked, asked != pair.found {
        return ("\(pair.name) \(pair.found)", "\(pair.name) \(asked)")
      }
    }
    return nil
  }

  private func first(
    of flags: [(name: String, found: Bool, asked: Bool?)]
  ) -> (found: String, expected: String)? {
    for (name, found, asked) in flags {
      if let asked, asked != found {
        return (found ? "--\(name)" : "--no-\(name)", asked ? "--\(name)" : "--no-\(name)")
      }
    }
    return nil
  }
}
