import Foundation
import Storage

/// The attentions there are: one case each, and nothing else outside an attention's own files.
package enum AttentionKind: String, CaseIterable, Sendable {
  case softmax
  case hierarchical
  case yoso
  case combiner
  case window

  /// The options of that attention.
  var options: any AttentionOptions.Type {
    switch self {
    case .softmax: SoftmaxOptions.self
    case .hierarchical: HierarchicalOptions.self
    case .yoso: YosoOptions.self
    case .combiner: CombinerOptions.self
    case .window: WindowOptions.self
    }
  }

  /// Every option, what it means, and its default.
  package var help: [(key: String, meaning: String)] { options.help }
}

/// What can be chosen about one attention: `attention` of `config.json` and the text after the
/// colon of `--attention KIND:key=value,...`.
///
/// A key that is missing has the value of `init()`.
package protocol AttentionOptions: Codable, Equatable, Sendable {
  static var kind: AttentionKind { get }

  /// Every key, what it means, and its default.
  static var help: [(key: String, meaning: String)] { get }

  /// The defaults.
  init()

  /// The positions it is used with unless told otherwise.
  var defaultPosition: Position { get }

  /// Distances its bias table must have, or nil if it takes any.
  var biasLength: Int? { get }

  /// Throws if the options make no attention or do not fit the rest of the model.
  func validate(_ model: ModelConfig) throws(ModelError)

  /// The attention of a model.
  func mechanism(_ model: ModelConfig) -> any AttentionMechanism

  /// The attention whose random estimate this one is, or nil if it draws no random numbers.
  var expectation: (any AttentionOptions)? { get }
}

extension AttentionOptions {
  package static var help: [(key: String, meaning: String)] { [] }
  package var biasLength: Int? { nil }
  package var expectation: (any AttentionOptions)? { nil }

  fileprivate func isEqual(_ other: any AttentionOptions) -> Bool { other as? Self == self }
}

/// The attention of every layer, with its options.
package struct AttentionConfig: Sendable, Equatable {
  package let options: any AttentionOptions

  package init(_ options: any AttentionOptions) { self.options = options }

  package static let softmax = AttentionConfig(SoftmaxOptions())

  package var kind: AttentionKind { type(of: options).kind }

  package static func == (a: AttentionConfig, b: AttentionConfig) -> Bool {
    a.options.isEqual(b.options)
  }

  /// The deterministic attention whose random estimate this one is; nil if it is itself
  /// deterministic.
  package var expectation: AttentionConfig? { options.expectation.map(AttentionConfig.init) }

  /// Options as `(key, value)` in the order of the keys.
  package var values: [(key: String, value: String)] {
    guard let bytes = try? JSONFile.encode(options),
      let fields = try? JSONSerialization.jsonObject(with: Foundation.Data(bytes))
        as? [String: Any]
    else { return [] }
    return type(of: options).help.compactMap { key, _ in fields[key].map { (key, "\($0)") } }
  }
}

// MARK: Text

extension AttentionConfig: CustomStringConvertible {
  /// As `--attention` takes it.
  package var description: String {
    let values = values.map { "\($0.key)=\($0.value)" }.joined(separator: ",")
    return kind.rawValue + (values.isEmpty ? "" : ":" + values)
  }

  /// Reads `KIND` or `KIND:key=value,key=value`; keys that are left out keep their defaults.
  package init(parsing text: String) throws(ModelError) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let kind = try Self.kind(named: String(parts[0]))
    let keys = kind.options.help.map(\.key)
    var fields: [String: JSONValue] = [:]
    for pair in parts.count > 1 ? parts[1].split(separator: ",") : [] {
      let sides = pair.split(separator: "=", maxSplits: 1)
      guard sides.count == 2, keys.contains(String(sides[0])), fields[String(sides[0])] == nil
      else {
        throw .invalid(
          "\"\(pair)\" is no option of \(kind.rawValue) attention; expected "
            + (keys.isEmpty
              ? "none" : "KEY=VALUE, each at most once, of \(keys.joined(separator: ", "))"))
      }
      fields[String(sides[0])] = JSONValue(String(sides[1]))
    }
    fields["kind"] = .text(kind.rawValue)
    do {
      self = try JSONFile.decode(
        Self.self, from: JSONFile.encode(fields), path: "--attention \(text)")
    } catch {
      throw .invalid("\(error)")
    }
  }

  fileprivate static func kind(named name: String) throws(ModelError) -> AttentionKind {
    guard let kind = AttentionKind(rawValue: name) else {
      throw .invalid(
        "there is no attention \"\(name)\"; choose one of "
          + AttentionKind.allCases.map(\.rawValue).joined(separator: ", "))
    }
    return kind
  }
}

/// A value of the command line: a whole number, or text.
private enum JSONValue: Encodable, Equatable {
  case number(Int)
  case text(String)

  init(_ text: String) { self = Int(text).map(JSONValue.number) ?? .text(text) }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .number(let number): try container.encode(number)
    case .text(let text): try container.encode(text)
    }
  }
}

// MARK: JSON

extension AttentionConfig: Codable {
  private enum Key: String, CodingKey { case kind }

  package func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: Key.self)
    try fields.encode(kind.rawValue, forKey: .kind)
    try options.encode(to: encoder)
  }

  package init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Key.self)
    let kind = try Self.kind(named: fields.decode(String.self, forKey: .kind))
    options = try kind.options.init(from: decoder)
  }
}
