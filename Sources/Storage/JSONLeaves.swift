/// A value as the leaves of its JSON, each with the path to it.
package enum JSONLeaves {
  /// `model.hidden_size` and its value, in the order of the paths; empty if it is no JSON.
  ///
  /// - Parameters:
  ///   - value: What is listed.
  ///   - number: Spells numbers that are not whole.
  package static func of(
    _ value: some Encodable, number: (Double) -> String = { "\($0)" }
  ) -> [(key: String, value: String)] {
    guard let bytes = try? JSONFile.encode(value),
      let tree = try? JSONFile.decode(JSONValue.self, from: bytes, path: "value")
    else { return [] }
    return tree.leaves("", number)
  }
}

/// Any JSON, to be listed leaf by leaf.
private enum JSONValue: Decodable {
  case object([String: JSONValue])
  case list([JSONValue])
  case text(String)
  case number(Double)

  init(from decoder: any Decoder) throws {
    let value = try decoder.singleValueContainer()
    if let object = try? value.decode([String: JSONValue].self) {
      self = .object(object)
    } else if let list = try? value.decode([JSONValue].self) {
      self = .list(list)
    } else if let truth = try? value.decode(Bool.self) {
      self = .text("\(truth)")
    } else if let count = try? value.decode(Int.self) {
      self = .text("\(count)")
    } else if let count = try? value.decode(UInt64.self) {
      // Seeds take all of it.
      self = .text("\(count)")
    } else if let number = try? value.decode(Double.self) {
      self = .number(number)
    } else {
      self = .text((try? value.decode(String.self)) ?? "none")
    }
  }

  /// Every leaf with the path to it.
  func leaves(_ path: String, _ spell: (Double) -> String) -> [(key: String, value: String)] {
    switch self {
    case .object(let object):
      object.keys.sorted().flatMap { key in
        object[key]?.leaves(path.isEmpty ? key : "\(path).\(key)", spell) ?? []
      }
    case .list(let list):
      list.enumerated().flatMap { $0.element.leaves("\(path)[\($0.offset)]", spell) }
    case .text(let text): [(path, text)]
    case .number(let number): [(path, spell(number))]
    }
  }
}
