package import LMData
package import Model
import Storage

/// A checkpoint as the commands use it: weights, tokenizer and where they came from.
package struct TrainedModel {
  /// The checkpoint folder, a step of a run or a folder of its own.
  package let path: String
  /// The tokenizer's file.
  package let tokenizer: [UInt8]
  package let tokenizerSHA256: String
  package let model: Transformer

  /// Opens a checkpoint.
  ///
  /// Files with a sum in `SHA256SUMS` are compared with it; a folder from elsewhere may have none.
  ///
  /// - Parameters:
  ///   - given: A run folder, whose newest checkpoint is taken, or one checkpoint.
  ///   - verifyingWeights: Whether the weights are read whole and compared with their sum, or
  ///     mapped and read as they are needed.
  ///   - damaged: Checkpoints of a run that are known to be of no use, and why.
  ///   - note: Told, a sentence each, of checkpoints of a run that were passed over.
  package init(
    _ given: String, verifyingWeights: Bool, damaged: [String: String] = [:],
    note: (String) -> Void = { _ in }
  ) throws {
    var given = given
    while given.count > 1 && given.hasSuffix("/") { given.removeLast() }
    path = try CheckpointFolder.resolve(
      given, verifyingWeights: verifyingWeights, damaged: damaged, note: note)
    if try CheckpointFolder.hasSums(path) {
      let names = [ModelFiles.configName, CheckpointFolder.tokenizerName]
      try CheckpointFolder.verify(
        path, only: names + (verifyingWeights ? [ModelFiles.weightsName] : []))
    }
    let config = try ModelFiles.readConfig(directory: path)
    tokenizer = try Files.contents(of: path + "/" + CheckpointFolder.tokenizerName)
    tokenizerSHA256 = SHA256.hexDigest(of: tokenizer)
    model = try Transformer(
      config, parameters: ModelFiles.readWeights(config, directory: path))
  }

  package var config: ModelConfig { model.config }

  /// The same weights under another attention, for example the expectation of a sampled one.
  package func model(with attention: AttentionConfig) throws(ModelError) -> Transformer {
    var config = config
    config.attention = attention
    return try Transformer(config, parameters: model.parameters, kernels: model.kernels)
  }

  /// Where the tokenizer's file is.
  package var tokenizerPath: String { path + "/" + CheckpointFolder.tokenizerName }

  /// Throws if the tokenizer is not the one that the model was built for.
  package func check(vocabularySize: Int, special: SpecialIDs) throws(EvaluationError) {
    guard
      vocabularySize == config.vocabularySize && special.bos == config.bosID
        && special.eos == config.eosID
    else {
      throw .otherVocabulary(
        tokenizer: tokenizerPath,
        found: "\(vocabularySize) pieces with <s> \(special.bos) and </s> \(special.eos)",
        expected: "\(config.vocabularySize) pieces with <s> \(config.bosID) and </s> "
          + "\(config.eosID)")
    }
  }

  /// Throws if the ids of a data set are those of another tokenizer.
  package func check(_ dataSet: DataSet) throws(EvaluationError) {
    guard dataSet.manifest.tokenizer.sha256 == tokenizerSHA256 else {
      throw .otherTokenizer(
        data: dataSet.directory, found: dataSet.manifest.tokenizer.sha256, checkpoint: path,
        expected: tokenizerSHA256)
    }
    try check(
      vocabularySize: dataSet.manifest.tokenizer.vocabularySize, special: dataSet.special)
  }
}
