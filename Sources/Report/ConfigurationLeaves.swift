import Foundation
import Storage
import Train

/// A configuration as the leaves of its JSON, each with the path to it.
enum ConfigurationLeaves {
  /// `model.hidden_size` and its value, in the order of the paths; empty if it is no JSON.
  static func of(_ config: RunConfig) -> [(key: String, value: String)] {
    JSONLeaves.of(config) { String(format: "%g", $0) }
  }
}
