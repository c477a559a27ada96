package import Tensor

/// The forms in which a model is written for other programs.
package enum ExportFormat: String, CaseIterable, Sendable {
  /// A folder for transformers with weights in bfloat16.
  case bf16
  /// A folder for transformers with weights in float16.
  case fp16
  /// One file for llama.cpp, weights in float32.
  case gguf

  /// The type of a folder's weights; nil for what is one file.
  package var weights: NumberType? {
    switch self {
    case .bf16: .brain16
    case .fp16: .half
    case .gguf: nil
    }
  }
}
