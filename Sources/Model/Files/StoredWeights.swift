import Storage
import Tensor

/// Weights in a safetensors file, or in several with an index, by anyone.
struct StoredWeights {
  /// One file.
  private struct Part {
    let file: MappedFile
    let header: SafetensorsHeader

    init(path: String) throws {
      file = try MappedFile(path: path)
      header = try SafetensorsHeader(file.bytes, path: path)
    }

    /// Where the numbers of a tensor lie in the file.
    func range(_ entry: SafetensorsHeader.Entry) -> Range<Int> {
      let start = header.dataStart + entry.range.lowerBound
      return start..<start + entry.range.count
    }
  }

  private typealias Tensor = (part: Part, entry: SafetensorsHeader.Entry)

  private let path: String
  private let parts: [Part]
  private let tensors: [Tensor]

  private static let embeddingName = "model.embed_tokens.weight"
  private static let headName = "lm_head.weight"

  /// Maps a file and checks its header.
  init(path: String) throws {
    self.init(path: path, parts: [try Part(path: path)])
  }

  /// Maps the weights of a folder: one file or, where that is missing and there is an index, several.
  init(directory: String, name: String = ModelFiles.weightsName) throws {
    let whole = directory + "/" + name
    let indexPath = directory + "/" + ShardIndex.name
    guard name == ModelFiles.weightsName, !Files.exists(whole), Files.exists(indexPath) else {
      try self.init(path: whole)
      return
    }
    let index = try ShardIndex(path: indexPath)
    let parts = try index.names.map { (name: $0, part: try Part(path: directory + "/" + $0)) }
    var found: [String: String] = [:]
    for (name, part) in parts {
      for entry in part.header.entries {
        guard found.updateValue(name, forKey: entry.name) == nil else {
          throw ModelError.file(
            path: indexPath, problem: "tensor \(entry.name) is in two of its files")
        }
      }
    }
    let names = Set(found.keys).union(index.files.keys).sorted()
    if let name = names.first(where: { found[$0] != index.files[$0] }) {
      throw ModelError.file(
        path: indexPath,
        problem: "tensor \(name) is in \(found[name] ?? "no file"), but weight_map says "
          + (index.files[name] ?? "nothing of it"))
    }
    self.init(path: indexPath, parts: parts.map(\.part))
  }

  private init(path: String, parts: [Part]) {
    self.path = path
    self.parts = parts
    tensors = parts.flatMap { part in part.header.entries.map { (part, $0) } }
  }

  /// Tensors in all files.
  var count: Int { tensors.count }

  /// Whether the file has an embedding table and a head of other values.
  func hasOwnHead() throws(ModelError) -> Bool {
    func tensor(_ name: String) -> Tensor? { tensors.first { $0.entry.name == name } }
    guard let (tablePart, table) = tensor(Self.embeddingName),
      let (headPart, head) = tensor(Self.headName)
    else { return false }
    guard head.shape == table.shape, let columns = head.shape.last, columns > 0,
      let tableType = NumberType(ofWeights: table.type),
      let headType = NumberType(ofWeights: head.type)
    else {
      throw fail(
        "tensor \(head.name) is \(head.type) \(head.shape), but the embeddings of this tied model are "
          + "\(table.type) \(table.shape)")
    }
    guard !head.range.isEmpty else { return false }
    // A row at a time: a table may be half of a model.
    var rows = [[Float]](repeating: [Float](repeating: 0, count: columns), count: 2)
    for row in 0..<(head.range.count / (columns * headType.bytes)) {
      for (index, part, entry, type) in [
        (0, tablePart, table, tableType), (1, headPart, head, headType),
      ] {
        let start = part.range(entry).lowerBound + row * columns * type.bytes
        let source = UnsafeRawBufferPointer(
          rebasing: part.file.bytes[start..<start + columns * type.bytes])
        rows[index].withUnsafeMutableBufferPointer { type.widen(source, into: $0) }
      }
      if rows[0] != rows[1] { return true }
    }
    return false
  }

  /// Throws if what is said to be a tied model has a head of its own, which nobody would look at.
  func checkHead() throws(ModelError) {
    guard try hasOwnHead() else { return }
    throw fail(
      "tensor \(Self.headName) has other values than the embeddings, expected the same in a model "
        + "with tie_word_embeddings")
  }

  /// The weights where they lie, or a copy if they lie otherwise.
  func parameters(_ config: ModelConfig, on device: any Device) throws -> Parameters {
    let layout = ParameterLayout(config)
    try check(layout.slots, tied: config.tiedHead)
    let inOrder = parts.count == 1 && tensors.map(\.entry.name) == layout.slots.map(\.name)
    let isWide = tensors.allSatisfy { $0.entry.type == "F32" }
    let (file, start) = (parts[0].file, parts[0].header.dataStart)
    // Pages are read as they are touched.
    guard inOrder, isWide,
      let buffer = device.borrow(
        UnsafeRawBufferPointer(rebasing: file.bytes[start..<start + 4 * layout.count]),
        type: .float32, release: { [file] in withExtendedLifetime(file) {} })
    else {
      let parameters = try Parameters(config, on: device)
      try copy(into: parameters)
      return parameters
    }
    return Parameters(config, buffer: buffer, on: device)
  }

  /// Throws unless the file has every slot, in its shape and a type that is read, and nothing else.
  ///
  /// - Parameters:
  ///   - prefix: Stands before every name in the file.
  ///   - tied: Whether the head is the embedding table, under either or both of the names.
  ///   - complete: False if the file may hold more.
  func check(
    _ slots: [ParameterSlot], prefix: String = "", tied: Bool = false, complete: Bool = true
  ) throws(ModelError) {
    var found: [String: SafetensorsHeader.Entry] = [:]
    for (_, entry) in tensors {
      guard found.updateValue(entry, forKey: entry.name) == nil else {
        throw fail("tensor \(entry.name) occurs twice")
      }
    }
    for slot in slots {
      var entry = found.removeValue(forKey: prefix + slot.name)
      if entry == nil, tied, slot.name == Self.embeddingName {
        entry = found.removeValue(forKey: Self.headName)
      }
      guard let entry else {
        throw fail(
          "tensor \(prefix + slot.name) is missing"
            + (slot.name == Self.headName && complete
              ? ", expected in a model without tie_word_embeddings" : ""))
      }
      guard NumberType(ofWeights: entry.type) != nil, entry.shape == slot.shape else {
        throw fail(
          "tensor \(entry.name) is \(entry.type) \(entry.shape), expected F32 \(slot.shape) "
            + "(BF16 and F16 are read too)")
      }
    }
    // A tied model may still carry its head under the second name.
    if tied { found[Self.headName] = nil }
    let extra = found.keys.filter { !Self.isBuffer($0) }.min()
    if complete, let extra { throw fail("tensor \(extra) is not expected") }
  }

  /// Whether it is the angles of rotary positions, which older programs stored with the weights and
  /// transformers skips: they follow from the configuration.
  private static func isBuffer(_ name: String) -> Bool { name.contains("rotary_emb.inv_freq") }

  /// Fills weights whose slots were checked.
  func copy(into parameters: Parameters, prefix: String = "") throws(DeviceError) {
    let hasTable = tensors.contains { $0.entry.name == prefix + Self.embeddingName }
    for (part, entry) in tensors {
      guard entry.name.hasPrefix(prefix) else { continue }
      var name = String(entry.name.dropFirst(prefix.count))
      if name == Self.headName, !hasTable, parameters.layout.slot(name) == nil {
        name = Self.embeddingName
      }
      guard let slot = parameters.layout.slot(name), let type = NumberType(ofWeights: entry.type)
      else { continue }
      let range = part.range(entry)
      try parameters.device.write(
        UnsafeRawBufferPointer(rebasing: part.file.bytes[range]), type: type,
        to: parameters.view(slot))
      // A tensor is needed once; a whole checkpoint in memory twice would be the run's peak.
      part.file.forget(range)
    }
  }

  private func fail(_ problem: String) -> ModelError {
    .file(path: path, problem: problem + "; the weights belong to another configuration")
  }
}
