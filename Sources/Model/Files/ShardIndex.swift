import Storage

/// `model.safetensors.index.json`: which of several files has which tensor, as `save_pretrained` writes it
/// for weights that are larger than its `max_shard_size`.
package struct ShardIndex {
  package static let name = ModelFiles.weightsName + ".index.json"

  /// The file of every tensor.
  package let files: [String: String]

  private struct Stored: Decodable {
    let weightMap: [String: String]

    private enum CodingKeys: String, CodingKey { case weightMap = "weight_map" }
  }

  /// - Throws: `ModelError.file` for what is no index, or names files that are not beside it.
  package init(path: String) throws {
    files = try JSONFile.read(Stored.self, from: path).weightMap
    guard !files.isEmpty else {
      throw ModelError.file(path: path, problem: "weight_map is empty, expected tensors")
    }
    for name in files.values
    where name.contains("/") || name.contains("\0") || !name.hasSuffix(".safetensors") {
      throw ModelError.file(
        path: path,
        problem:
          "weight_map has the file \"\(name)\", expected a safetensors file in the same folder")
    }
  }

  /// Names of the files, in their order.
  package var names: [String] { Set(files.values).sorted() }
}
