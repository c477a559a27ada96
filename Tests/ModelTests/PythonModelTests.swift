import Foundation
import Model
import Storage
import Tensor
import TestSupport
import Testing

/// What the files compute is compared with the real thing by `scripts/peers/check-interop.sh`.
@Suite struct PythonModelTests {
  private struct Map: Decodable {
    let auto_map: [String: String]?
  }

  /// Classes that `config.json` names are in the files beside it; a Llama, a Qwen2 and a Qwen3 need none,
  /// but that a Qwen2 has the class of its tokenizer.
  @Test(arguments: Variant.all) func classesAreWhereTheConfigurationSays(variant: Variant) throws {
    try withTemporaryDirectory { directory in
      let config = variant.config
      let parameters = try Parameters(config)
      try ModelFiles.write(config, parameters, directory: directory)
      let files = try Files.entries(of: directory).filter { $0.hasSuffix(".py") }.sorted()
      let map = try JSONFile.read(Map.self, from: directory + "/" + ModelFiles.configName).auto_map
      if config.isLlama || config.isQwen2 || config.isQwen3 {
        #expect(files == (config.isQwen2 ? ["file_tokenizer.py"] : []) && map == nil)
        return
      }
      #expect(files == ["decoder.py", config.attention.kind.rawValue + "_attention.py"].sorted())
      #expect(Set(files).isSubset(of: CheckpointFolder.fileNames))
      let classes = try #require(map)
      #expect(classes.keys.sorted() == ["AutoConfig", "AutoModelForCausalLM"])
      for (key, name) in classes {
        let parts = name.split(separator: ".").map(String.init)
        let text = String(
          decoding: try Files.contents(of: "\(directory)/\(parts[0]).py"), as: UTF8.self)
        // The configuration's class comes from the decoder.
        let isThere =
          key == "AutoConfig"
          ? text.contains("from .decoder import") && text.contains(" \(parts[1]),")
          : text.contains("class \(parts[1])(DecoderForCausalLM):")
        #expect(isThere, "\(name)")
        #expect(text.hasSuffix("\n"))
      }
      #expect(try ModelFiles.readConfig(directory: directory) == config)
    }
  }
}
