package import Storage
import Tensor

/// The weights of a checkpoint on disk: `config.json` and `model.safetensors`.
package enum ModelFiles {
  package static let configName = "config.json"
  package static let weightsName = "model.safetensors"

  /// Reads and checks the configuration of a checkpoint.
  package static func readConfig(directory: String) throws -> ModelConfig {
    try JSONFile.read(ModelConfig.self, from: directory + "/" + configName)
  }

  /// Writes configuration and weights into a folder.
  package static func write(
    _ config: ModelConfig, _ parameters: Parameters, directory: String
  ) throws(StorageError) {
    try JSONFile.write(config, to: directory + "/" + configName)
    try writeTensors(parameters, prefix: "", to: directory + "/" + weightsName)
  }

  /// Writes one buffer in layout order as a safetensors file.
  ///
  /// - Parameter prefix: Put before every name, for example `first_moment.`.
  package static func writeTensors(
    _ parameters: Parameters, prefix: String, to path: String
  ) throws(StorageError) {
    try writeTensors([(prefix, parameters)], to: path)
  }

  /// Writes several buffers of one layout into one safetensors file.
  package static func writeTensors(
    _ groups: [(prefix: String, parameters: Parameters)], to path: String
  ) throws(StorageError) {
    let tensors = groups.flatMap { group in
      group.parameters.layout.slots.map { (name: group.prefix + $0.name, shape: $0.shape) }
    }
    let writer = try FileWriter(path: path)
    // "pt" is what Hugging Face's loader asks for.
    try writer.append(SafetensorsHeader.encode(tensors, metadata: ["format": "pt"]))
    for group in groups {
      let count = group.parameters.layout.count
      try writer.append(
        UnsafeRawBufferPointer(start: group.parameters.buffer.base, count: count * 4))
    }
    try writer.finish()
  }

  /// The weights of a checkpoint, mapped where they lie if the file has our order and type; others
  /// are copied, numbers of 16 bits widened.
  ///
  /// - Throws: `ModelError.file` if a tensor is missing, extra, or of another type or shape.
  package static func readWeights(
    _ config: ModelConfig, directory: String
  ) throws -> Parameters {
    let path = directory + "/" + weightsName
    let file = try MappedFile(path: path)
    let header = try SafetensorsHeader(file.bytes, path: path)
    let layout = ParameterLayout(config)
    try check(header, against: layout.slots, prefix: "", tied: config.tiedHead, path: path)
    let inOrder = header.entries.map(\.name) == layout.slots.map(\.name)
    let isWide = header.entries.allSatisfy { $0.type == "F32" }
    guard inOrder, isWide, header.dataStart % 4 == 0, let base = file.bytes.baseAddress else {
      let parameters = Parameters(config)
      copy(header, file, into: parameters, prefix: "")
      return parameters
    }
    // Pages are read as they are touched; nobody writes through this view.
    let floats = UnsafeMutableRawPointer(mutating: base + header.dataStart)
      .assumingMemoryBound(to: Float.self)
    let buffer = Buffer(borrowing: floats, count: layout.count) {
      withExtendedLifetime(file) {}
    }
    return Parameters(config, buffer: buffer)
  }

  /// Reads weights into memory of their own, to be trained further.
  package static func readWeights(
    into parameters: Parameters, _ config: ModelConfig, directory: String
  ) throws {
    try readTensors([("", parameters)], tied: config.tiedHead, from: directory + "/" + weightsName)
  }

  /// Reads buffers written by `writeTensors`.
  package static func readTensors(
    _ groups: [(prefix: String, parameters: Parameters)], tied: Bool = false, from path: String
  ) throws {
    let file = try MappedFile(path: path)
    let header = try SafetensorsHeader(file.bytes, path: path)
    var expected = 0
    for group in groups {
      try check(
        header, against: group.parameters.layout.slots, prefix: group.prefix, tied: tied,
        path: path, complete: groups.count == 1)
      expected += group.parameters.layout.slots.count
    }
    guard groups.count == 1 || header.entries.count == expected else {
      throw ModelError.file(
        path: path, problem: "found \(header.entries.count) tensors, expected \(expected)")
    }
    for group in groups { copy(header, file, into: group.parameters, prefix: group.prefix) }
  }

  private static func check(
    _ header: SafetensorsHeader, against slots: [ParameterSlot], prefix: String, tied: Bool,
    path: String, complete: Bool = true
  ) throws(ModelError) {
    func fail(_ problem: String) -> ModelError {
      .file(path: path, problem: problem + "; the weights belong to another configuration")
    }
    var found: [String: SafetensorsHeader.Entry] = [:]
    for entry in header.entries {
      guard found.updateValue(entry, forKey: entry.name) == nil else {
        throw fail("tensor \(entry.name) occurs twice")
      }
    }
    for slot in slots {
      guard let entry = found.removeValue(forKey: prefix + slot.name) else {
        throw fail("tensor \(prefix + slot.name) is missing")
      }
      guard NumberType(rawValue: entry.type) != nil, entry.shape == slot.shape else {
        throw fail(
          "tensor \(entry.name) is \(entry.type) \(entry.shape), expected F32 \(slot.shape) "
            + "(BF16 and F16 are read too)")
      }
    }
    // A tied model may still carry its head under the second name.
    if tied { found["lm_head.weight"] = nil }
    if complete, let extra = found.keys.min() { throw fail("tensor \(extra) is not expected") }
  }

  private static func copy(
    _ header: SafetensorsHeader, _ file: MappedFile, into parameters: Parameters, prefix: String
  ) {
    for entry in header.entries {
      guard entry.name.hasPrefix(prefix),
        let slot = parameters.layout.slot(String(entry.name.dropFirst(prefix.count)))
      else { continue }
      let start = header.dataStart + entry.range.lowerBound
      let source = file.bytes[start..<start + entry.range.count]
      NumberType(rawValue: entry.type)?.widen(
        UnsafeRawBufferPointer(rebasing: source),
        into: UnsafeMutableBufferPointer(
          start: parameters.buffer.base + slot.offset, count: slot.count))
      // A tensor is needed once; a whole checkpoint in memory twice would be the run's peak.
      file.forget(start..<start + entry.range.count)
    }
  }
}
