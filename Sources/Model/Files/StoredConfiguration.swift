import Tensor

/// `config.json` beside weights: the model, and what programs must know to open it there.
struct StoredConfiguration: Encodable {
  let config: ModelConfig
  let weights: NumberType
  /// Classes in Python files of the same folder.
  let classes: [String: String]?

  private enum Key: String, CodingKey {
    case classes = "auto_map"
    case weights = "torch_dtype"
  }

  func encode(to encoder: any Encoder) throws {
    try config.encode(to: encoder)
    var fields = encoder.container(keyedBy: Key.self)
    try fields.encodeIfPresent(classes, forKey: .classes)
    switch weights {
    case .brain16: try fields.encode("bfloat16", forKey: .weights)
    case .half: try fields.encode("float16", forKey: .weights)
    case .float32, .float64: break
    }
  }
}
