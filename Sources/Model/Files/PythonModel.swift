import PythonSource
import Storage

/// The files with which transformers opens a model that it has no class for: the decoder and its attention
/// in PyTorch, beside the weights.
package struct PythonModel {
  private let config: ModelConfig
  /// Name and text of every file.
  package let files: [(name: String, text: String)]

  /// Nil for a model that transformers has itself, a Llama, a Qwen2 or a Qwen3, and for an attention that nobody
  /// has written in Python.
  package init?(_ config: ModelConfig) {
    if config.isLlama || config.isQwen2 || config.isQwen3 { return nil }
    let names = [Self.decoderName, Self.module(config) + ".py"]
    files = names.compactMap { name in Self.all.first { $0.name == name } }
    guard files.count == names.count else { return nil }
    self.config = config
  }

  /// The classes that transformers looks for in `config.json`, each as `file.Class`.
  var classes: [String: String] {
    let module = Self.module(config)
    let kind = config.attention.kind.rawValue
    return [
      "AutoConfig": module + ".DecoderConfig",
      "AutoModelForCausalLM":
        "\(module).\(kind.prefix(1).uppercased())\(kind.dropFirst())ForCausalLM",
    ]
  }

  /// Writes the files into a folder.
  package func write(directory: String) throws {
    for file in files {
      try AtomicFile.write(Array(file.text.utf8), to: directory + "/" + file.name)
    }
  }

  /// The class that `auto_map` of `tokenizer_config.json` names for `AutoTokenizer`, as `file.Class`.
  ///
  /// Nil where it opens the file by itself; of a Qwen2 it would take another tokenizer.
  package static func tokenizerClass(_ config: ModelConfig) -> String? {
    config.isQwen2 ? "file_tokenizer.FileTokenizer" : nil
  }

  /// Writes the file of ``tokenizerClass(_:)``, if there is one.
  static func writeTokenizer(_ config: ModelConfig, directory: String) throws {
    guard let name = tokenizerClass(config)?.split(separator: ".").first.map({ $0 + ".py" }),
      let file = all.first(where: { $0.name == name })
    else { return }
    try AtomicFile.write(Array(file.text.utf8), to: directory + "/" + file.name)
  }

  /// Names of all files that a checkpoint may have.
  package static var fileNames: Set<String> { Set(all.map(\.name)) }

  private static let decoderName = "decoder.py"

  /// What Python calls the file of an attention.
  private static func module(_ config: ModelConfig) -> String {
    config.attention.kind.rawValue + "_attention"
  }

  private static let all: [(name: String, text: String)] = {
    var count: Int32 = 0
    let first = python_source_files(&count)
    return UnsafeBufferPointer(start: first, count: Int(count)).map {
      (String(cString: $0.name), String(cString: $0.text))
    }
  }()
}
