package import Model
import Storage
import Tensor

/// The weights of another checkpoint that a run begins with.
package struct InitialWeights: Codable, Sendable, Equatable {
  /// The checkpoint, from the root.
  package var path: String
  /// The file of weights in it, where it is not `model.safetensors`.
  package var file: String?
  /// Steps that they were trained; absent for those from elsewhere.
  package var step: Int?
  package var weightsSHA256: String
  /// Of the rows of n-grams beside them, where there are some.
  package var ngramsSHA256: String?
  /// Of the tokenizer that their ids are those of.
  package var tokenizerSHA256: String
  /// SHA-256 of the manifest of the shards that they were trained on; absent for those from elsewhere.
  package var dataSHA256: String?
  /// What those weights began with in turn, the newest first; absent where they were drawn.
  package var earlier: [String]?

  /// A checkpoint with the model that it holds, its sums compared.
  ///
  /// - Parameters:
  ///   - given: A checkpoint, a run whose newest or `best` is taken, or a Llama, Qwen2 or Qwen3 from
  ///     elsewhere; with `/ema.safetensors` behind it, the running average.
  ///   - tokenizer: Makes the tokenizer of a folder that has no `tokenizer.model`.
  ///   - note: Told, a sentence each, of what was passed over.
  package static func find(
    _ given: String, tokenizer: (_ folder: String) throws -> [UInt8], note: (String) -> Void
  ) throws -> (origin: InitialWeights, model: ModelConfig) {
    var given = given
    while given.count > 1 && given.hasSuffix("/") { given.removeLast() }
    let (folder, weights) = CheckpointFolder.splitting(given)
    let path = try CheckpointFolder.resolve(folder, verifyingWeights: true, note: note)
    guard weights == ModelFiles.weightsName || Files.exists(path + "/" + weights) else {
      throw CheckpointError.noAverage(path: path)
    }
    if try CheckpointFolder.hasSums(path) {
      try CheckpointFolder.verify(
        path,
        only: [
          ModelFiles.configName, weights, NgramFile.name, CheckpointFolder.tokenizerName,
          CheckpointFolder.stateName,
        ])
    }
    let model = try ModelFiles.check(directory: path, weights: weights)
    let tokenizerPath = path + "/" + CheckpointFolder.tokenizerName
    let tokenizer =
      Files.exists(tokenizerPath)
      ? try Files.contents(of: tokenizerPath) : try tokenizer(path)
    let state = try state(of: path)
    let origin = InitialWeights(
      path: RunData.absolute(path), file: weights == ModelFiles.weightsName ? nil : weights,
      step: state?.step,
      weightsSHA256: try ModelFiles.weightsDigest(directory: path, name: weights),
      ngramsSHA256: model.ngrams.isEmpty
        ? nil : try SHA256.hexDigest(ofFile: path + "/" + NgramFile.name),
      tokenizerSHA256: SHA256.hexDigest(of: tokenizer), dataSHA256: state?.dataSHA256,
      earlier: state?.config?.initialWeights.map { ["\($0)"] + ($0.earlier ?? []) })
    return (origin, model)
  }

  /// What is asked of the state of a checkpoint, whatever else it holds or lacks.
  private struct Trained: Decodable {
    struct Config: Decodable { let initialWeights: InitialWeights? }
    let step: Int?
    let dataSHA256: String?
    let config: Config?
  }

  /// The state of a checkpoint of a run; nil for one from elsewhere.
  private static func state(of checkpoint: String) throws -> Trained? {
    let path = checkpoint + "/" + CheckpointFolder.stateName
    return Files.exists(path) ? try JSONFile.read(Trained.self, from: path) : nil
  }

  /// What the run of a checkpoint began with, the origins of that behind it; nil if its weights were
  /// drawn, or are from elsewhere.
  package static func sentence(ofCheckpoint checkpoint: String) throws -> String? {
    try state(of: checkpoint)?.config?.initialWeights?.sentence
  }

  /// The weights with all that they began with.
  package var sentence: String {
    (["\(self)"] + (earlier ?? [])).joined(separator: ", itself from ")
  }

  /// Whether they are those of a checkpoint, or of one of a run, of this path.
  package func isPart(of given: String) -> Bool {
    let folder = RunData.absolute(CheckpointFolder.splitting(given).folder)
    return path == folder || Files.parent(of: path) == folder
      || (Files.name(of: folder) == CheckpointFolder.bestName
        && Files.parent(of: path) == Files.parent(of: folder))
  }

  /// Reads them into memory of their own.
  ///
  /// - Parameters:
  ///   - parameters: Take them.
  ///   - model: The model of the run.
  /// - Throws: `TrainingError.invalid` if they are no longer what the run is said to begin with.
  func read(into parameters: Parameters, _ model: ModelConfig) throws {
    let name = file ?? ModelFiles.weightsName
    try check(name, weightsSHA256)
    if let ngramsSHA256 { try check(NgramFile.name, ngramsSHA256) }
    try ModelFiles.readWeights(into: parameters, model, directory: path, weights: name)
    // They stand beside the rows, and are the optimizer's.
    for table in parameters.ngrams?.tables ?? [] {
      parameters.device.fill(table.squares, with: 0)
    }
  }

  private func check(_ name: String, _ sum: String) throws {
    let found: String
    do {
      found =
        name == NgramFile.name
        ? try SHA256.hexDigest(ofFile: path + "/" + name)
        : try ModelFiles.weightsDigest(directory: path, name: name)
    } catch {
      throw TrainingError.invalid(
        "the run begins with \(self), which cannot be read: \(error); put it back, or begin another run "
          + "with --init-from")
    }
    guard found == sum else {
      throw TrainingError.invalid(
        "the run begins with \(self), but the SHA-256 of its \(name) is \(found) now, expected \(sum); put "
          + "it back, or begin another run with --init-from")
    }
  }
}

extension InitialWeights: CustomStringConvertible {
  /// One part of a sentence: the checkpoint and the sum of its weights.
  package var description: String {
    "checkpoint \(path) (\(file ?? ModelFiles.weightsName) SHA-256 \(weightsSHA256))"
  }
}
