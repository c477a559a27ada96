package import LMData
package import Model
import Storage
package import Tensor

/// A checkpoint as the commands use it: weights, tokenizer and where they came from.
package struct TrainedModel {
  /// The checkpoint folder, a step of a run or a folder of its own.
  package let path: String
  /// The file of weights in it: those of training, or their running average.
  package let weightsName: String
  /// The tokenizer's file.
  package let tokenizer: [UInt8]
  package let tokenizerSHA256: String
  package private(set) var model: Transformer
  /// Where the weights differ from what the configuration says, a sentence each.
  package private(set) var notes: [String] = []

  /// Opens a checkpoint.
  ///
  /// Files with a sum in `SHA256SUMS` are compared with it; a folder from elsewhere may have none.
  ///
  /// - Parameters:
  ///   - given: A run folder, whose newest checkpoint is taken, `best` in it, or one checkpoint; with
  ///     `/ema.safetensors` behind it, the running average of its weights.
  ///   - kernels: Where the model runs.
  ///   - verifyingWeights: Whether the weights are read whole and compared with their sum, or
  ///     mapped and read as they are needed.
  ///   - damaged: Checkpoints of a run that are known to be damaged, and how.
  ///   - rebuiltTokenizer: Makes the tokenizer of a folder from its other files; called if
  ///     `tokenizer.model` is missing.
  ///   - note: Called with a sentence for every checkpoint of a run that is skipped.
  package init(
    _ given: String, on kernels: any Kernels, verifyingWeights: Bool,
    damaged: [String: String] = [:],
    rebuiltTokenizer: ((_ folder: String) throws -> [UInt8])? = nil,
    note: (String) -> Void = { _ in }
  ) throws {
    var given = given
    while given.count > 1 && given.hasSuffix("/") { given.removeLast() }
    (given, weightsName) = CheckpointFolder.splitting(given)
    path = try CheckpointFolder.resolve(
      given, verifyingWeights: verifyingWeights, damaged: damaged, note: note)
    guard weightsName == ModelFiles.weightsName || Files.exists(path + "/" + weightsName) else {
      throw CheckpointError.noAverage(path: path)
    }
    if try CheckpointFolder.hasSums(path) {
      let names = [ModelFiles.configName, CheckpointFolder.tokenizerName]
      try CheckpointFolder.verify(
        path, only: names + (verifyingWeights ? [weightsName, NgramFile.name] : []))
    }
    let (config, weights, hasOwnHead) = try ModelFiles.open(
      directory: path, weights: weightsName, on: kernels)
    let tokenizerPath = path + "/" + CheckpointFolder.tokenizerName
    if let rebuiltTokenizer, !Files.exists(tokenizerPath) {
      tokenizer = try rebuiltTokenizer(path)
    } else {
      tokenizer = try Files.contents(of: tokenizerPath)
    }
    tokenizerSHA256 = SHA256.hexDigest(of: tokenizer)
    model = try Transformer(config, parameters: weights, kernels: kernels)
    if hasOwnHead {
      notes.append(
        "\(path): tie_word_embeddings is true, but lm_head.weight has other values than the embeddings; "
          + "it is used, as in transformers 5")
    }
  }

  package var config: ModelConfig { model.config }

  /// The checkpoint, and the file where it is not that of the weights of training.
  package var name: String {
    weightsName == ModelFiles.weightsName ? path : path + "/" + weightsName
  }

  /// Logits of the model: one for each token of its tokenizer, and perhaps more.
  package var rows: Int { config.vocabularySize }

  /// Markers, tokens that are empty or hold a newline, and rows beyond the tokenizer's tokens.
  package func neverSampled(_ tokens: TokenTable, special: SpecialIDs) -> [Int32] {
    Prompt.neverSampled(tokens, special: special, ends: config.otherEndIDs, rows: rows)
  }

  /// The same weights under another attention, for example the expectation of a sampled one.
  package func model(with attention: AttentionConfig) throws -> Transformer {
    var config = config
    config.attention = attention
    return try Transformer(config, parameters: model.parameters, kernels: model.kernels)
  }

  /// Where the tokenizer's file is.
  package var tokenizerPath: String { path + "/" + CheckpointFolder.tokenizerName }

  /// Sets the ids of `<s>` and `</s>` from the tokenizer.
  ///
  /// A model from elsewhere may have several tokens that close a text, of which `</s>` is one, and rows
  /// beyond the tokenizer's tokens: these have their share of every probability.
  ///
  /// - Throws: `EvaluationError.otherVocabulary` if the model was built for another tokenizer.
  package mutating func fit(vocabularySize: Int, special: SpecialIDs) throws {
    var config = config
    if special.eos != config.eosID, let place = config.otherEndIDs.firstIndex(of: special.eos) {
      config.otherEndIDs[place] = config.eosID
      config.eosID = special.eos
      model = try Transformer(config, parameters: model.parameters, kernels: model.kernels)
    }
    try check(vocabularySize: vocabularySize, special: special)
    let spare = config.vocabularySize - vocabularySize
    if spare > 0 {
      notes.append(
        "\(path): the model has \(spare) \(spare == 1 ? "row" : "rows") more than its tokenizer has "
          + "tokens; they take their share of every probability, as in transformers, and are never "
          + "written")
    }
  }

  private func check(vocabularySize: Int, special: SpecialIDs) throws(EvaluationError) {
    // Of a run, every row is a token.
    let isRun = Files.exists(path + "/" + CheckpointFolder.stateName)
    let fits =
      isRun ? vocabularySize == config.vocabularySize : vocabularySize <= config.vocabularySize
    guard fits && special.bos == config.bosID && special.eos == config.eosID else {
      throw .otherVocabulary(
        tokenizer: tokenizerPath,
        found: "\(vocabularySize) tokens with <s> \(special.bos) and </s> \(special.eos)",
        expected: "\(config.vocabularySize) tokens with <s> \(config.bosID) and </s> "
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
