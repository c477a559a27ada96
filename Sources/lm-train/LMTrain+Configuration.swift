import Backends
import CommandSupport
import LMData
import Model
import Storage
import Tensor
import Tokenize
import Train

/// What is trained on what.
extension LMTrain {
  /// The tokenizer of a data set: its file, stored with every checkpoint, and what its ids spell.
  struct Tokenizer {
    let file: [UInt8]
    let tokens: TokenTable
    private let model: SentencePieceModel

    /// The same tokenizer in files of other programs, by name.
    ///
    /// - Parameter config: The model that it stands beside.
    func forms(beside config: ModelConfig) -> [String: [UInt8]] {
      HuggingFaceTokenizer.files(of: model, pythonClass: PythonModel.tokenizerClass(config))
    }

    init(of dataSet: DataSet) throws {
      file = try Files.contents(of: dataSet.tokenizerPath)
      let model = try SentencePieceModel(serialized: file, path: dataSet.tokenizerPath)
      guard model.special == dataSet.special,
        model.vocabularySize == dataSet.manifest.tokenizer.vocabularySize
      else {
        throw TrainingError.invalid(
          "\(dataSet.directory)/\(Manifest.fileName) is damaged: it gives the tokenizer "
            + "\(dataSet.manifest.tokenizer.vocabularySize) tokens and other special ids than "
            + "\(dataSet.tokenizerPath) has; run lm-tokenize again")
      }
      tokens = model.tokenTable()
      self.model = model
      if let obstacle = HuggingFaceTokenizer.obstacle(model) {
        Terminal.note(
          "note: AutoTokenizer of transformers cannot open this tokenizer (\(obstacle)); open the "
            + "tokenizer.model of a checkpoint with sentencepiece")
      }
    }
  }

  /// The shards: those that are given, or those that a run which goes on was trained on.
  func dataFolder() throws -> String {
    if let data { return data }
    guard let output, Files.exists(RunFolder.configPath(output)) else {
      throw TrainingError.nothingToResume(run: output ?? "", reasons: [])
    }
    return try RunData.find(run: output)
  }

  // MARK: Configuration

  /// The benchmark with as many tokens as were asked for.
  func assumedManifest() throws -> Manifest {
    let preset = try Preset.named(options.preset ?? PlanTable.defaultPreset)
    return AssumedData.manifest(vocabularySize: vocabSize ?? preset.vocabularySize)
  }

  /// The configuration of the run: its own if it goes on, otherwise preset or file with changes.
  ///
  /// - Parameters:
  ///   - manifest: Of the data set.
  ///   - dataSet: Itself; nil where it is assumed.
  ///   - processes: How many train it; a new run of several is cut into shares.
  ///   - backend: Where it is trained, which decides the precision of a new run.
  func runConfig(
    _ manifest: Manifest, _ dataSet: DataSet?, processes: Int, on backend: Backend
  ) throws -> RunConfig {
    if resume, let output {
      let stored = try RunFolder.resumedConfig(output) { Terminal.note("lm-train: \($0)") }
      var changed = stored
      let given = try options.config.map { path in
        try RunFolder.givenConfig(path) { Terminal.note("lm-train: \($0)") }
      }
      if options.preset.map({ $0 != stored.preset }) ?? false
        || given.map({ stored.difference(from: $0, taken: 0) != nil }) ?? false
      {
        throw TrainingError.invalid(
          "--resume goes on with \(RunFolder.configPath(output)), preset \(stored.preset); leave out "
            + "--preset and --config")
      }
      try options.apply(to: &changed, manifest: manifest)
      try applyEpochs(to: &changed, manifest, dataSet)
      try requireSameOrigin(as: stored)
      // What is reported when may change; what is computed may not. The trainer knows whether the
      // number of steps may.
      var difference = options.difference(from: stored)
      if difference == nil {
        // Options that agree with it may stand for more than they say, as --attention does for positions.
        changed.model = stored.model
        changed.model.bosID = manifest.special.bos
        changed.model.eosID = manifest.special.eos
        difference = stored.difference(from: changed, taken: 0)
      }
      if let difference {
        throw TrainingError.invalid(
          "--resume goes on with \(RunFolder.configPath(output)), which has \(difference.found), not "
            + "\(difference.expected); leave out that option, or start another run")
      }
      return changed
    }
    var config: RunConfig
    var small: [String] = []
    if let path = options.config {
      config = try RunFolder.givenConfig(path) { Terminal.note("lm-train: \($0)") }
    } else {
      let preset = try Preset.named(options.preset ?? PlanTable.defaultPreset)
      config = preset.config(vocabularySize: manifest.tokenizer.vocabularySize)
      small = preset.leftOut(vocabularySize: manifest.tokenizer.vocabularySize)
      if manifest.tokenizer.modelType == ModelType.word.rawValue {
        config.model.cutoffs = ModelConfig.defaultCutoffs(
          words: manifest.tokenizer.vocabularySize)
      }
    }
    if options.config == nil, backend.trainingPrecision == .bfloat16 {
      config.precision = .bfloat16
    }
    try begin(&config, manifest)
    if processes > 1, config.gradientShares == nil {
      config.gradientShares = Self.shares(processes: processes)
    }
    let model = config.initialWeights == nil ? nil : config.model
    try options.apply(to: &config, manifest: manifest)
    // Options that agree with it may stand for more than they say, as --attention does for positions.
    if let model { config.model = model }
    let fixed = options.fixedParts
    let origin = options.config ?? "preset \(config.preset)"
    for part in config.takeOutWhatDoesNotFit(fixed: fixed)
      + (fixed.contains(.sampledSoftmax) ? [] : small)
    {
      Terminal.note("lm-train: note: of \(origin), \(part)")
    }
    try applyEpochs(to: &config, manifest, dataSet)
    return config
  }

  /// Takes the steps that make the passes over the text that were asked for.
  private func applyEpochs(
    to config: inout RunConfig, _ manifest: Manifest, _ dataSet: DataSet?
  ) throws {
    guard let epochs = options.epochs else { return }
    config.steps = try StepForecast.steps(
      for: epochs, config, manifest: manifest, dataSet: dataSet)
  }

  /// Shares of a step where nobody says: eight, or as many as there are processes, a power of two.
  static func shares(processes: Int) -> Int {
    var shares = 8
    while shares < processes { shares *= 2 }
    return shares
  }
}
