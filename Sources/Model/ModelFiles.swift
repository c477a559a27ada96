import Storage
package import Tensor

/// The weights of a checkpoint on disk: `config.json` and `model.safetensors`.
package enum ModelFiles {
  package static let configName = "config.json"
  package static let weightsName = "model.safetensors"

  /// Whether a folder has weights, in one file or in several with an index.
  package static func hasWeights(directory: String) -> Bool {
    [weightsName, ShardIndex.name].contains { Files.exists(directory + "/" + $0) }
  }

  /// The SHA-256 of the file of weights; of several, that of a line with sum and name for each, as
  /// `sha256sum` prints them.
  package static func weightsDigest(
    directory: String, name: String = weightsName
  ) throws -> String {
    let path = directory + "/" + name
    let indexPath = directory + "/" + ShardIndex.name
    guard name == weightsName, !Files.exists(path), Files.exists(indexPath) else {
      return try SHA256.hexDigest(ofFile: path)
    }
    let lines = try ShardIndex(path: indexPath).names.map {
      SumsFile.Line(digest: try SHA256.hexDigest(ofFile: directory + "/" + $0), name: $0)
    }
    return SHA256.hexDigest(of: SumsFile.encode(lines))
  }

  /// Reads and checks the configuration of a checkpoint.
  package static func readConfig(directory: String) throws -> ModelConfig {
    try JSONFile.read(ModelConfig.self, from: directory + "/" + configName)
  }

  /// Writes configuration and weights into a folder, and the model in Python where transformers has none.
  package static func write(
    _ config: ModelConfig, _ parameters: Parameters, directory: String
  ) throws {
    try writeConfiguration(config, weights: .float32, directory: directory)
    try writeTensors(parameters, prefix: "", to: directory + "/" + weightsName)
    if let ngrams = parameters.ngrams {
      try NgramFile.write(ngrams, on: parameters.device, directory: directory)
    }
  }

  /// Writes `config.json`, and the model and the tokenizer's class in Python where transformers has none.
  ///
  /// - Parameters:
  ///   - config: The model.
  ///   - type: Of the weights.
  ///   - directory: A folder.
  package static func writeConfiguration(
    _ config: ModelConfig, weights type: NumberType, directory: String
  ) throws {
    let python = PythonModel(config)
    try JSONFile.write(
      StoredConfiguration(config: config, weights: type, classes: python?.classes),
      to: directory + "/" + configName)
    try python?.write(directory: directory)
    try PythonModel.writeTokenizer(config, directory: directory)
  }

  /// Writes one buffer in layout order as a safetensors file.
  ///
  /// - Parameters:
  ///   - parameters: What is written.
  ///   - prefix: Put before every name, for example `first_moment.`.
  ///   - path: Of the file.
  package static func writeTensors(
    _ parameters: Parameters, prefix: String, to path: String
  ) throws {
    try writeTensors([(prefix, parameters)], to: path)
  }

  /// Writes several buffers of one layout into one safetensors file.
  ///
  /// - Parameters:
  ///   - groups: What is put before every name, and the buffer.
  ///   - path: Of the file.
  ///   - prepare: Called with the number of a group before it is written; it may fill the buffer.
  package static func writeTensors(
    _ groups: [(prefix: String, parameters: Parameters)], to path: String,
    preparing prepare: (Int) throws -> Void = { _ in }
  ) throws {
    let tensors = groups.flatMap { group in
      group.parameters.layout.slots.map { (name: group.prefix + $0.name, shape: $0.shape) }
    }
    let writer = try FileWriter(path: path)
    // "pt" is what Hugging Face's loader asks for.
    try writer.append(SafetensorsHeader.encode(tensors, metadata: ["format": "pt"]))
    for (index, group) in groups.enumerated() {
      try prepare(index)
      try group.parameters.device.withFloats(of: group.parameters.all) { try writer.append($0) }
    }
    try writer.finish()
  }

  /// A checkpoint's configuration and weights, mapped where they lie if the file has our order and
  /// type; others are copied, numbers of 16 bits widened.
  ///
  /// A tied model with a stored head of other values is an untied one, as in transformers 5, whatever
  /// its `config.json` says; `hasOwnHead` tells of it.
  ///
  /// - Parameters:
  ///   - directory: The checkpoint.
  ///   - weights: Name of the file of weights in it.
  ///   - device: Where they are to lie.
  /// - Throws: `ModelError.file` if a tensor is missing, extra, or of another type or shape.
  package static func open(
    directory: String, weights name: String = ModelFiles.weightsName, on device: any Device
  ) throws -> (config: ModelConfig, parameters: Parameters, hasOwnHead: Bool) {
    let (config, weights, hasOwnHead) = try stored(directory: directory, name)
    let parameters = try withNgrams(
      weights.parameters(config, on: device), config, directory: directory)
    return (config, parameters, hasOwnHead)
  }

  /// The configuration of a checkpoint, whose weights have been compared with it by name, type and
  /// shape.
  package static func check(
    directory: String, weights name: String = ModelFiles.weightsName
  ) throws -> ModelConfig {
    let (config, weights, _) = try stored(directory: directory, name)
    try weights.check(ParameterLayout(config).slots, tied: config.tiedHead)
    try NgramFile.check(config, directory: directory)
    return config
  }

  /// The same weights with the rows of n-grams of the same folder.
  private static func withNgrams(
    _ weights: Parameters, _ config: ModelConfig, directory: String
  ) throws -> Parameters {
    try NgramFile.refuseUnused(config, directory: directory)
    guard let tables = try NgramTables(config, isTrained: false, on: weights.device) else {
      return weights
    }
    try NgramFile.read(into: tables, on: weights.device, directory: directory)
    var weights = weights
    weights.ngrams = tables
    return weights
  }

  private static func stored(
    directory: String, _ name: String
  ) throws -> (config: ModelConfig, weights: StoredWeights, hasOwnHead: Bool) {
    var config = try readConfig(directory: directory)
    let weights = try StoredWeights(directory: directory, name: name)
    let hasOwnHead = config.tiedHead ? try weights.hasOwnHead() : false
    if hasOwnHead { config.tiedHead = false }
    return (config, weights, hasOwnHead)
  }

  /// Throws unless the weights of a checkpoint are those of its configuration, by name, type and shape.
  package static func checkWeights(_ config: ModelConfig, directory: String) throws {
    let weights = try StoredWeights(directory: directory)
    if config.tiedHead { try weights.checkHead() }
    try weights.check(ParameterLayout(config).slots, tied: config.tiedHead)
    try NgramFile.check(config, directory: directory)
  }

  /// The weights of a checkpoint of this configuration, as ``open(directory:on:)`` has them.
  package static func readWeights(
    _ config: ModelConfig, directory: String, on device: any Device
  ) throws -> Parameters {
    let weights = try StoredWeights(directory: directory)
    if config.tiedHead { try weights.checkHead() }
    return try withNgrams(
      weights.parameters(config, on: device), config, directory: directory)
  }

  /// Reads weights into memory of their own, to be trained further.
  ///
  /// - Parameters:
  ///   - parameters: Take them.
  ///   - config: Their configuration.
  ///   - directory: The checkpoint.
  ///   - name: Of the file of weights in it.
  package static func readWeights(
    into parameters: Parameters, _ config: ModelConfig, directory: String,
    weights name: String = ModelFiles.weightsName
  ) throws {
    let stored = try StoredWeights(directory: directory, name: name)
    if config.tiedHead { try stored.checkHead() }
    try stored.check(parameters.layout.slots, tied: config.tiedHead)
    try stored.copy(into: parameters)
    try NgramFile.refuseUnused(config, directory: directory)
    if let ngrams = parameters.ngrams {
      try NgramFile.read(into: ngrams, on: parameters.device, directory: directory)
    }
  }

  /// Reads buffers written by `writeTensors`.
  ///
  /// - Parameters:
  ///   - groups: What stands before every name, and the buffer.
  ///   - tied: Whether the head is the embedding table.
  ///   - path: Of the file.
  ///   - take: Called with the number of a group once it is read; the next may have the same buffer.
  package static func readTensors(
    _ groups: [(prefix: String, parameters: Parameters)], tied: Bool = false, from path: String,
    taking take: (Int) throws -> Void = { _ in }
  ) throws {
    let weights = try StoredWeights(path: path)
    if tied { try weights.checkHead() }
    var expected = 0
    for group in groups {
      let slots = group.parameters.layout.slots
      try weights.check(slots, prefix: group.prefix, tied: tied, complete: groups.count == 1)
      expected += slots.count
    }
    guard groups.count == 1 || weights.count == expected else {
      throw ModelError.file(
        path: path, problem: "found \(weights.count) tensors, expected \(expected)")
    }
    for (index, group) in groups.enumerated() {
      try weights.copy(into: group.parameters, prefix: group.prefix)
      try take(index)
    }
  }
}
