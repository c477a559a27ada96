package import Model
import Storage
package import Tensor
package import Tokenize

/// A folder that `AutoModelForCausalLM.from_pretrained` opens, with weights of 16 bits and nothing that only
/// training needs.
package enum TransformersFolder {
  /// - Parameters:
  ///   - model: The model.
  ///   - tokenizer: Its tokenizer.
  ///   - type: Of every weight but the rows of n-grams, whose file is copied as it is.
  ///   - checkpoint: The folder that the model was read from.
  ///   - place: Where the folder goes.
  /// - Throws: `ExportError` where a weight is too large for the type, or the place may not be taken.
  package static func write(
    _ model: Transformer, tokenizer: SentencePieceModel, weights type: NumberType,
    from checkpoint: String, to place: ExportPlace
  ) throws {
    let directory = try AtomicDirectory(target: place.path)
    let path = directory.path
    try ModelFiles.writeConfiguration(model.config, weights: type, directory: path)
    let rows = WeightRows(parameters: model.parameters)
    let slots = model.parameters.layout.slots
    let writer = try FileWriter(path: path + "/" + ModelFiles.weightsName)
    try writer.append(
      SafetensorsHeader.encode(
        slots.map { ($0.name, $0.shape) }, type: type, metadata: ["format": "pt"]))
    for slot in slots {
      try rows.forEachPart(of: slot, as: type) { try writer.append($0) }
    }
    try writer.finish()
    if model.parameters.ngrams != nil {
      let tables = try MappedFile(path: checkpoint + "/" + NgramFile.name)
      let copy = try FileWriter(path: path + "/" + NgramFile.name)
      try copy.append(tables.bytes)
      try copy.finish()
    }
    var files = HuggingFaceTokenizer.files(
      of: tokenizer, pythonClass: PythonModel.tokenizerClass(model.config))
    files[CheckpointFolder.tokenizerName] = tokenizer.serialized
    for (name, bytes) in files { try AtomicFile.write(bytes, to: path + "/" + name) }
    try place.commit(directory)
  }
}
