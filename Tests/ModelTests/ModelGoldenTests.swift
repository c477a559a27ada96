import Foundation
import Model
import Storage
import Tensor
import TestSupport
import Testing

/// Small models of transformers with the figures that PyTorch has for them
/// (`scripts/reference/gen_model_golden.py`), read from folders as it writes them.
@Suite struct ModelGoldenTests {
  /// One file of figures.
  private struct Golden: Decodable {
    let ids: [Int32]
    let starts: [Int]
    let nats: [Float]
    let gradients: [String: [Float]]

    /// The tokens that follow: those of the same sequence, and at its end the token 2.
    var targets: [Int32] {
      ids.indices.map { starts.contains($0 + 1) ? 2 : ids[$0 + 1] }
    }
  }

  private static let names = [
    "llama-shared-keys", "llama-biases", "llama-wide-heads", "qwen2", "qwen3",
  ]

  private static func path(_ name: String) throws -> String {
    try #require(
      Bundle.module.path(forResource: name, ofType: "json", inDirectory: "Fixtures/models"))
  }

  /// Number `index` of a weight, as the generator has it.
  private static func number(_ index: Int, of weight: Int, isGain: Bool) -> Float {
    let s = sin(Double(index + 1) * 12.9898 + Double(weight + 1) * 78.233) * 43758.5453
    let drawn = 0.4 * (2 * (s - s.rounded(.down)) - 1)
    return Float(isGain ? 1 + drawn : drawn)
  }

  /// Writes configuration and weights as `save_pretrained` does, the weights in two files.
  private static func write(_ name: String, to directory: String) throws {
    let bytes = Data(try Files.contents(of: try path(name)))
    let object = try #require(try JSONSerialization.jsonObject(with: bytes) as? [String: Any])
    let text = try JSONSerialization.data(withJSONObject: try #require(object["config"]))
    let configPath = directory + "/" + ModelFiles.configName
    try AtomicFile.write(Array(text), to: configPath)
    let config = try ModelFiles.readConfig(directory: directory)
    let slots = ParameterLayout(config).slots.sorted { $0.name < $1.name }
    var map: [String: String] = [:]
    for half in 0..<2 {
      let file = "model-0000\(half + 1)-of-00002.safetensors"
      let own = slots.enumerated().filter { $0.offset % 2 == half }
      let writer = try FileWriter(path: directory + "/" + file)
      try writer.append(
        SafetensorsHeader.encode(own.map { ($1.name, $1.shape) }, metadata: ["format": "pt"]))
      for (weight, slot) in own {
        map[slot.name] = file
        let isGain = slot.name.hasSuffix("norm.weight")
        let numbers = (0..<slot.count).map { number($0, of: weight, isGain: isGain) }
        try numbers.withUnsafeBytes { try writer.append($0) }
      }
      try writer.finish()
    }
    try JSONFile.write(["weight_map": map], to: directory + "/" + ShardIndex.name)
  }

  @Test(arguments: names, [TestBackend.cpu, .oracle, .emulator])
  func figuresAreThoseOfPyTorch(name: String, backend: TestBackend) throws {
    let golden = try JSONFile.read(Golden.self, from: try Self.path(name))
    try withTemporaryDirectory { directory in
      try Self.write(name, to: directory)
      let kernels = try backend.makeKernels()
      let (config, parameters, _) = try ModelFiles.open(directory: directory, on: kernels)
      let model = try Transformer(config, parameters: parameters, kernels: kernels)
      let nats = try model.nllNats(
        ids: golden.ids, targets: golden.targets, starts: golden.starts)
      #expect(nats.count == golden.nats.count)
      for (a, b) in zip(nats, golden.nats) { #expect(abs(a - b) < 1e-4, "\(a), expected \(b)") }
      let gradients = try Parameters(config, on: kernels)
      let sum = try model.accumulateGradients(
        ids: golden.ids, targets: golden.targets, starts: golden.starts,
        gradientScale: 1 / Float(golden.ids.count), dropout: nil, into: gradients)
      #expect(abs(sum - golden.nats.reduce(0) { $0 + Double($1) }) < 1e-3)
      #expect(golden.gradients.count == gradients.layout.slots.count)
      for slot in gradients.layout.slots {
        let expected = try #require(golden.gradients[slot.name])
        let found = try kernels.numbers(of: gradients.view(slot))
        #expect(found.count == expected.count)
        let largest = expected.reduce(0) { max($0, abs($1)) }
        let error = zip(found, expected).reduce(0) { max($0, abs($1.0 - $1.1)) }
        #expect(error <= 1e-3 * largest, "\(slot.name): \(error) of \(largest)")
      }
    }
  }

  /// What is read is written as the class that it was, and read again.
  @Test(arguments: names) func classesStay(name: String) throws {
    try withTemporaryDirectory { directory in
      try Self.write(name, to: directory)
      let config = try ModelFiles.readConfig(directory: directory)
      let text = String(decoding: try JSONFile.encode(config), as: UTF8.self)
      let family =
        name.hasPrefix("llama") ? "Llama" : name.prefix(1).uppercased() + name.dropFirst()
      #expect(text.contains("\"\(family)ForCausalLM\""))
      let again = try JSONFile.decode(
        ModelConfig.self, from: JSONFile.encode(config), path: "config.json")
      #expect(again == config)
      #expect(PythonModel(config) == nil)
    }
  }
}
