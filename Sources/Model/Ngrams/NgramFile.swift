import Storage
import Tensor

/// The tables of n-grams of a checkpoint, `ngrams.safetensors`: rows, and the optimizer's sums beside them.
package enum NgramFile {
  package static let name = "ngrams.safetensors"

  /// Names and views of all tensors, in the order of the file.
  private static func tensors(
    _ tables: NgramTables
  ) -> [(name: String, shape: [Int], view: View)] {
    tables.tables.flatMap { table in
      [
        (table.ngram.name, [table.rows.rows, table.rows.columns], table.rows),
        (squaresName(table.ngram), [table.squares.columns], table.squares),
      ]
    }
  }

  private static func squaresName(_ ngram: NgramRows) -> String { "squares." + ngram.name }

  /// Writes the tables into a folder.
  static func write(_ tables: NgramTables, on device: any Device, directory: String) throws {
    let writer = try FileWriter(path: directory + "/" + name)
    let tensors = tensors(tables)
    try writer.append(
      SafetensorsHeader.encode(tensors.map { ($0.name, $0.shape) }, metadata: ["format": "pt"]))
    for tensor in tensors where tensor.view.count > 0 {
      try device.withFloats(of: tensor.view) { try writer.append($0) }
    }
    try writer.finish()
  }

  /// Reads the tables of a folder; the optimizer's sums only where there is room for them.
  ///
  /// - Throws: `ModelError.file` if the file has not the tensors of the configuration.
  static func read(into tables: NgramTables, on device: any Device, directory: String) throws {
    let stored = try Stored(directory)
    try stored.refuseOthers(than: tables.tables.map(\.ngram))
    for tensor in tensors(tables) where tensor.view.count > 0 {
      try device.write(
        stored.bytes(tensor.name, shape: tensor.shape), type: .float32, to: tensor.view)
    }
  }

  /// Throws if a folder has tables of which its configuration knows nothing: they would be left out unseen.
  static func refuseUnused(_ config: ModelConfig, directory: String) throws(ModelError) {
    let path = directory + "/" + name
    guard config.ngrams.isEmpty, Files.exists(path) else { return }
    throw .file(
      path: path,
      problem:
        "it has rows of n-grams, but bigram_rows and trigram_rows in \(ModelFiles.configName) are 0; "
        + "copy the \(ModelFiles.configName) that belongs to it, or remove it to use the model without them"
    )
  }

  /// Throws unless a folder has the tables of a configuration.
  static func check(_ config: ModelConfig, directory: String) throws {
    try refuseUnused(config, directory: directory)
    guard !config.ngrams.isEmpty else { return }
    let stored = try Stored(directory)
    try stored.refuseOthers(than: config.ngrams)
    for ngram in config.ngrams {
      _ = try stored.bytes(ngram.name, shape: [ngram.count, config.width])
      _ = try stored.bytes(squaresName(ngram), shape: [ngram.count])
    }
  }

  /// A file of tables, mapped.
  private struct Stored {
    private let path: String
    private let file: MappedFile
    private let header: SafetensorsHeader

    init(_ directory: String) throws {
      path = directory + "/" + NgramFile.name
      file = try MappedFile(path: path)
      header = try SafetensorsHeader(file.bytes, path: path)
    }

    /// Throws if there is another tensor than those of the tables.
    func refuseOthers(than ngrams: [NgramRows]) throws(ModelError) {
      let known = Set(ngrams.flatMap { [$0.name, NgramFile.squaresName($0)] })
      guard let other = header.entries.first(where: { !known.contains($0.name) }) else { return }
      throw .file(
        path: path,
        problem: "tensor \(other.name) is not expected; the tables belong to another configuration")
    }

    func bytes(_ name: String, shape: [Int]) throws(ModelError) -> UnsafeRawBufferPointer {
      guard let entry = header.entries.first(where: { $0.name == name }) else {
        throw .file(
          path: path,
          problem: "tensor \(name) is missing; the tables belong to another configuration")
      }
      guard entry.type == "F32", entry.shape == shape else {
        throw .file(
          path: path,
          problem:
            "tensor \(name) is \(entry.type) \(entry.shape), expected F32 \(shape); the tables "
            + "belong to another configuration")
      }
      let start = header.dataStart + entry.range.lowerBound
      return UnsafeRawBufferPointer(rebasing: file.bytes[start..<start + entry.range.count])
    }
  }
}
