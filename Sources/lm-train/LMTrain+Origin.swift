import CommandSupport
import LMData
import Model
import Storage
import Tokenize
import Train

/// What a run begins with that is not drawn.
extension LMTrain {
  /// Puts the model of `--init-from` into the configuration of a new run, and compares the data's
  /// tokenizer with that of the weights.
  func begin(_ config: inout RunConfig, _ manifest: Manifest) throws {
    if let given = options.initFrom {
      let (origin, model) = try InitialWeights.find(
        given, tokenizer: HuggingFaceTokenizer.rebuilt, note: { Terminal.note("lm-train: \($0)") })
      try refuseOtherModel(than: model, of: "--init-from \(given)")
      try check(origin, model, given, manifest)
      if let path = options.config, config.model != fitted(model, to: manifest) {
        throw TrainingError.invalid(
          "\(path) has another model than --init-from \(given): the model is that of the checkpoint; leave "
            + "out --config, or give that of its run")
      }
      config.model = fitted(model, to: manifest)
      config.initialWeights = origin
    } else if let origin = config.initialWeights {
      // A file of --config that says so.
      try refuseOtherModel(than: config.model, of: "\(origin)")
      try checkTokenizer(origin, origin.path, manifest)
    }
    if options.freezeEmbedding == true, config.initialWeights == nil {
      throw TrainingError.invalid(
        "--freeze-embedding goes with --init-from: nothing has trained the embeddings of a new model"
      )
    }
  }

  private func refuseOtherModel(than model: ModelConfig, of origin: String) throws {
    guard let difference = options.difference(from: model) else { return }
    throw TrainingError.invalid(
      "\(origin) has \(difference.found), not \(difference.expected): the model is that of the "
        + "checkpoint; leave out that option")
  }

  /// Refuses to go on with a run that began with other weights than `--init-from` names.
  func requireSameOrigin(as stored: RunConfig) throws {
    guard let given = options.initFrom else { return }
    guard let origin = stored.initialWeights else {
      throw TrainingError.invalid(
        "--resume goes on with \(output ?? ""), which began with weights of its own, not with --init-from; "
          + "leave out that option, or start another run")
    }
    // The run that is named may have gone on since, or be gone: only other weights are another run.
    if let found = try? InitialWeights.find(
      given, tokenizer: HuggingFaceTokenizer.rebuilt, note: { _ in }
    ).origin, found.weightsSHA256 != origin.weightsSHA256, !origin.isPart(of: given) {
      throw TrainingError.invalid(
        "--resume goes on with \(output ?? ""), which began with \(origin), not with --init-from \(given); "
          + "leave out that option, or start another run")
    }
  }

  /// Refuses text of another tokenizer, and a model with rows that no token has.
  private func check(
    _ origin: InitialWeights, _ model: ModelConfig, _ given: String, _ manifest: Manifest
  ) throws {
    try checkTokenizer(origin, given, manifest)
    let tokens = manifest.tokenizer.vocabularySize
    guard model.vocabularySize == tokens else {
      throw TrainingError.invalid(
        "--init-from \(given) has \(Format.count(model.vocabularySize, "row")) for the "
          + "\(Format.count(tokens, "token")) of its tokenizer, expected one for each; take the rows "
          + "beyond out with resize_token_embeddings of transformers")
    }
  }

  private func checkTokenizer(
    _ origin: InitialWeights, _ given: String, _ manifest: Manifest
  ) throws {
    guard origin.tokenizerSHA256 != manifest.tokenizer.sha256 else { return }
    let file = origin.path + "/" + CheckpointFolder.tokenizerName
    let way =
      Files.exists(file)
      ? "tokenize the text with lm-tokenize --tokenizer \(Arguments.line([file]))"
      : "it has no \(CheckpointFolder.tokenizerName); if it is the tokenizer of the data all the same, copy "
        + "\(data ?? "DATA")/\(CheckpointFolder.tokenizerName) there"
    throw TrainingError.invalid(
      "--init-from \(given) was trained with another tokenizer than \(data ?? "the data") has (SHA-256 "
        + "\(origin.tokenizerSHA256.prefix(12))…, not \(manifest.tokenizer.sha256.prefix(12))…); \(way)"
    )
  }

  /// The model with the special tokens of the data, which share its tokenizer.
  private func fitted(_ model: ModelConfig, to manifest: Manifest) -> ModelConfig {
    var fitted = model
    let ends = [model.eosID] + model.otherEndIDs
    let end = manifest.special.eos
    fitted.bosID = manifest.special.bos
    fitted.eosID = end
    fitted.otherEndIDs = ends.contains(end) ? ends.filter { $0 != end } : []
    return fitted
  }
}
