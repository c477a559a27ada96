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
    for tensor in tensors(tables) where tensor.view.count > 0 {
      try device.write(
        stored.bytes(tensor.name, shape: tensor.shape), type: .float32, to: tensor.view)
    }
  }

  /// Throws unless a folder has the tables of a configuration.
  static func check(_ config: ModelConfig, directory: String) throws {
    guard !config.ngrams.isEmpty else { return }
    let stored = try Stored(directory)
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
