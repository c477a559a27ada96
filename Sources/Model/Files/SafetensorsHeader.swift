import Foundation
package import Tensor

/// The header of a safetensors file: name, type, shape and byte range of every tensor.
///
/// Layout (github.com/huggingface/safetensors, format): 8 bytes little-endian length, that many
/// bytes of JSON, then the data; ranges count from the end of the JSON, and together they must
/// cover the data without gaps or overlaps.
package struct SafetensorsHeader {
  /// One tensor of the file.
  package struct Entry: Sendable, Equatable {
    package let name: String
    package let type: String
    package let shape: [Int]
    /// Bytes from the start of the data.
    package let range: Range<Int>
  }

  package let entries: [Entry]
  /// First byte of the data inside the file.
  package let dataStart: Int

  /// Largest header that is read; the reference implementation has the same limit.
  private static let maximumHeader = 100_000_000

  /// Reads and checks the header of a whole file; no figure in it is trusted.
  ///
  /// - Parameters:
  ///   - bytes: The file.
  ///   - path: For messages only.
  package init(_ bytes: UnsafeRawBufferPointer, path: String) throws(ModelError) {
    func fail(_ problem: String) -> ModelError { .file(path: path, problem: problem) }
    guard bytes.count >= 8 else {
      throw fail("a safetensors file has at least 8 bytes, found \(bytes.count)")
    }
    let stated = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    let limit = min(bytes.count - 8, Self.maximumHeader)
    guard stated <= UInt64(limit) else {
      throw fail(
        "the header is said to have \(stated) bytes, expected at most \(limit); the file is cut "
          + "short or not safetensors")
    }
    let start = 8 + Int(stated)
    let json: Any
    do {
      json = try JSONSerialization.jsonObject(with: Data(bytes[8..<start]))
    } catch {
      throw fail("the header is not JSON; the file is damaged or not safetensors")
    }
    guard let object = json as? [String: Any] else { throw fail("the header is not a JSON object") }
    var entries: [Entry] = []
    for (name, value) in object where name != "__metadata__" {
      entries.append(try Self.entry(name, value, dataCount: bytes.count - start, fail: fail))
    }
    entries.sort {
      ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound)
    }
    var end = 0
    for entry in entries {
      guard entry.range.lowerBound == end else {
        throw fail(
          "tensor \(entry.name) begins at byte \(entry.range.lowerBound) of the data, expected "
            + "\(end)")
      }
      end = entry.range.upperBound
    }
    guard end == bytes.count - start else {
      throw fail("the tensors end at byte \(end), the data at \(bytes.count - start)")
    }
    self.entries = entries
    dataStart = start
  }

  private static func entry(
    _ name: String, _ value: Any, dataCount: Int, fail: (String) -> ModelError
  ) throws(ModelError) -> Entry {
    guard let fields = value as? [String: Any], let type = fields["dtype"] as? String,
      let shape = fields["shape"] as? [Int], let offsets = fields["data_offsets"] as? [Int],
      offsets.count == 2
    else {
      throw fail("tensor \(name) lacks dtype, shape or data_offsets")
    }
    guard offsets[0] >= 0, offsets[0] <= offsets[1], offsets[1] <= dataCount else {
      throw fail(
        "tensor \(name) lies at bytes \(offsets[0]) to \(offsets[1]) of \(dataCount); the file is "
          + "cut short or damaged")
    }
    let sizes = [
      "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I64": 8, "I32": 4,
      "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
    ]
    guard let size = sizes[type] else { throw fail("tensor \(name) has the unknown type \(type)") }
    var bytes = size
    for dimension in shape {
      let (product, overflow) = bytes.multipliedReportingOverflow(by: dimension)
      guard dimension >= 0, !overflow else { throw fail("tensor \(name) has the shape \(shape)") }
      bytes = product
    }
    guard bytes == offsets[1] - offsets[0] else {
      throw fail(
        "tensor \(name) of type \(type) and shape \(shape) takes \(bytes) bytes, found "
          + "\(offsets[1] - offsets[0])")
    }
    return Entry(name: name, type: type, shape: shape, range: offsets[0]..<offsets[1])
  }

  /// The bytes that stand before the data, padded so that the data begins on a 64-byte boundary.
  ///
  /// - Parameters:
  ///   - tensors: Names and shapes in the order of the data.
  ///   - type: Of every number.
  ///   - metadata: What other programs are told beside them.
  package static func encode(
    _ tensors: [(name: String, shape: [Int])], type: NumberType = .float32,
    metadata: [String: String]
  ) -> [UInt8] {
    func quoted(_ text: String) -> String {
      "\""
        + text.replacingOccurrences(of: "\\", with: "\\\\")
        .replacingOccurrences(of: "\"", with: "\\\"") + "\""
    }
    var offset = 0
    var fields =
      metadata.isEmpty
      ? []
      : [
        "\"__metadata__\":{"
          + metadata.sorted { $0.key < $1.key }
          .map { "\(quoted($0.key)):\(quoted($0.value))" }.joined(separator: ",") + "}"
      ]
    for tensor in tensors {
      let end = offset + tensor.shape.reduce(1, *) * type.bytes
      let shape = tensor.shape.map(String.init).joined(separator: ",")
      fields.append(
        "\(quoted(tensor.name)):{\"dtype\":\"\(type.rawValue)\",\"shape\":[\(shape)],"
          + "\"data_offsets\":[\(offset),\(end)]}")
      offset = end
    }
    var json = Array(("{" + fields.joined(separator: ",") + "}").utf8)
    while (8 + json.count) % 64 != 0 { json.append(UInt8(ascii: " ")) }
    return withUnsafeBytes(of: UInt64(json.count).littleEndian) { Array($0) } + json
  }
}
