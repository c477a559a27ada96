import Foundation
import Storage
import Train

/// A configuration as the leaves of its JSON, each with the path to it.
enum ConfigurationLeaves {
  /// `model.hidden_size` and its value, in the order of the paths; empty if it is no JSON.
  static func of(_ config: RunConfig) -> [(key: String, value: String)] {
    guard let bytes = try? JSONFile.encode(config),
      let value = try? JSONFile.decode(JSONValue.self, from: bytes, path: RunFolder.configName)
    else { return [] }
    return value.leaves("")
  }
}

/// Any JSON, to be listed leaf by leaf.
private enum JSONValue: Decodable {
  case object([String: JSONValue])
  case list([JSONValue])
  case leaf(String)

  init(from decoder: any Decoder) throws {
    let value = try decoder.singleValueContainer()
    if let object = try? value.decode([String: JSONValue].self) {
      self = .object(object)
    } else if let list = try? value.decode([JSONValue].self) {
      self = .list(list)
    } else if let truth = try? value.decode(Bool.self) {
      self = .leaf("\(truth)")
    } else if let count = try? value.decode(Int.self) {
      self = .leaf("\(count)")
    } else if let number = try? value.decode(Double.self) {
      self = .leaf(String(format: "%g", number))
    } else {
      self = .leaf((try? value.decode(String.self)) ?? "none")
    }
  }

  /// Every leaf with the path to it.
  func leaves(_ path: String) -> [(key: String, value: String)] {
    switch self {
    case .object(let object):
      object.keys.sorted().flatMap { key in
        object[key]?.leaves(path.isEmpty ? key : "\(path).\(key)") ?? []
      }
    case .list(let list):
      list.enumerated().flatMap { $0.element.leaves("\(path)[\($0.offset)]") }
    case .leaf(let text): [(path, text)]
    }
  }
}
