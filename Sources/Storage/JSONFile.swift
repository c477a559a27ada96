import Foundation

/// Values kept as JSON: keys in order, one to a line, so that files compare well and repeat.
package enum JSONFile {
  /// The JSON of a value, with a newline at the end.
  ///
  /// - Parameters:
  ///   - value: What is written.
  ///   - path: Named in errors.
  package static func encode(
    _ value: some Encodable, path: String = "value"
  ) throws(StorageError) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    do {
      return [UInt8](try encoder.encode(value)) + [UInt8(ascii: "\n")]
    } catch {
      throw .unencodable(path: path, reason: reason(for: error))
    }
  }

  /// A value from its JSON.
  ///
  /// - Parameters:
  ///   - type: Type of the value.
  ///   - bytes: The JSON.
  ///   - path: Named in errors.
  package static func decode<Value: Decodable>(
    _ type: Value.Type, from bytes: [UInt8], path: String
  ) throws(StorageError) -> Value {
    // Some editors put a byte order mark first, which is no JSON.
    let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
    let json = bytes.starts(with: mark) ? bytes[mark.count...] : bytes[...]
    do {
      return try EarlierKeys.decoder().decode(type, from: Foundation.Data(json))
    } catch {
      throw .json(
        path: path, reason: numberProblem(type, json, error) ?? reason(for: error))
    }
  }

  /// Writes the JSON of a value in the place of a file, whole or not at all.
  package static func write(_ value: some Encodable, to path: String) throws(StorageError) {
    try AtomicFile.write(encode(value, path: path), to: path)
  }

  /// Reads a value from a JSON file.
  package static func read<Value: Decodable>(
    _ type: Value.Type, from path: String
  ) throws(StorageError) -> Value {
    try decode(type, from: Files.contents(of: path), path: path)
  }

  private static func reason(for error: any Error) -> String {
    switch error {
    case DecodingError.keyNotFound(let key, let context):
      return "\(place(context.codingPath + [key])) is missing"
    case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context),
      DecodingError.dataCorrupted(let context):
      return "at \(place(context.codingPath)): \(context.debugDescription)"
    case EncodingError.invalidValue(_, let context):
      return "at \(place(context.codingPath)): \(context.debugDescription)"
    default:
      return "\(error)"
    }
  }

  private static func place(_ path: [any CodingKey]) -> String {
    if path.isEmpty { return "the top level" }
    return path.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }.joined(separator: ".")
  }
}
