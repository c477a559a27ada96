import Storage
import Tensor

/// A safetensors file of weights, by anyone.
struct StoredWeights {
  private let path: String
  private let file: MappedFile
  private let header: SafetensorsHeader

  private static let embeddingName = "model.embed_tokens.weight"
  private static let headName = "lm_head.weight"

  /// Maps a file and checks its header.
  init(path: String) throws {
    self.path = path
    file = try MappedFile(path: path)
    header = try SafetensorsHeader(file.bytes, path: path)
  }

  /// Tensors in the file.
  var count: Int { header.entries.count }

  /// Whether the file has an embedding table and a head of other values.
  func hasOwnHead() throws(ModelError) -> Bool {
    func entry(_ name: String) -> SafetensorsHeader.Entry? {
      header.entries.first { $0.name == name }
    }
    guard let table = entry(Self.embeddingName), let head = entry(Self.headName) else {
      return false
    }
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
      for (index, entry, type) in [(0, table, tableType), (1, head, headType)] {
        let start = header.dataStart + entry.range.lowerBound + row * columns * type.bytes
        let source = UnsafeRawBufferPointer(
          rebasing: file.bytes[start..<start + columns * type.bytes])
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
    let inOrder = header.entries.map(\.name) == layout.slots.map(\.name)
    let isWide = header.entries.allSatisfy { $0.type == "F32" }
    // Pages are read as they are touched.
    guard inOrder, isWide,
      let buffer = device.borrow(
        UnsafeRawBufferPointer(
          rebasing: file.bytes[header.dataStart..<header.dataStart + 4 * layout.count]),
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
    for entry in header.entries {
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
    let hasTable = header.entries.contains { $0.name == prefix + Self.embeddingName }
    for entry in header.entries {
      guard entry.name.hasPrefix(prefix) else { continue }
      var name = String(entry.name.dropFirst(prefix.count))
      if name == Self.headName, !hasTable, parameters.layout.slot(name) == nil {
        name = Self.embeddingName
      }
      guard let slot = parameters.layout.slot(name), let type = NumberType(ofWeights: entry.type)
      else { continue }
      let start = header.dataStart + entry.range.lowerBound
      let source = file.bytes[start..<start + entry.range.count]
      try parameters.device.write(
        UnsafeRawBufferPointer(rebasing: source), type: type, to: parameters.view(slot))
      // A tensor is needed once; a whole checkpoint in memory twice would be the run's peak.
      file.forget(start..<start + entry.range.count)
    }
  }

  private func fail(_ problem: String) -> ModelError {
    .file(path: path, problem: problem + "; the weights belong to another configuration")
  }
}
