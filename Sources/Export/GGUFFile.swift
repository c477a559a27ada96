import Storage

/// A GGUF file, version 3 (github.com/ggml-org/ggml, docs/gguf.md): metadata, the names and places of all
/// tensors, then their numbers.
struct GGUFFile {
  /// A value of the metadata.
  enum Value {
    case uint32(UInt32)
    case float32(Float)
    case bool(Bool)
    case string([UInt8])
    case strings([[UInt8]])
    case floats([Float])
    case int32s([Int32])

    /// The number of the type in a file.
    var type: UInt32 {
      switch self {
      case .uint32: 4
      case .float32: 6
      case .bool: 7
      case .string: 8
      case .strings, .floats, .int32s: 9
      }
    }
  }

  /// A tensor of float32.
  struct Tensor {
    let name: String
    /// Rows and columns; a vector has its columns alone.
    let shape: [Int]

    var bytes: Int { 4 * shape.reduce(1, *) }
  }

  /// What a file begins with.
  static let magic = Array("GGUF".utf8)

  private static let alignment = 32
  private static let float32: UInt32 = 0

  let metadata: [(key: String, value: Value)]
  let tensors: [Tensor]

  /// All that stands before the numbers, padded to where they begin.
  var header: [UInt8] {
    var bytes = GGUFBytes()
    bytes.append(Self.magic)
    bytes.append(UInt32(3))
    bytes.append(UInt64(tensors.count))
    bytes.append(UInt64(metadata.count))
    for (key, value) in metadata {
      bytes.appendText(key.utf8)
      bytes.append(value)
    }
    var offset = 0
    for tensor in tensors {
      bytes.appendText(tensor.name.utf8)
      bytes.append(UInt32(tensor.shape.count))
      // The dimension whose neighbours are neighbours comes first.
      for size in tensor.shape.reversed() { bytes.append(UInt64(size)) }
      bytes.append(Self.float32)
      bytes.append(UInt64(offset))
      offset += tensor.bytes + Self.padding(after: tensor.bytes)
    }
    return bytes.all + [UInt8](repeating: 0, count: Self.padding(after: bytes.all.count))
  }

  /// Zeros between the end of a tensor and the next.
  static func padding(after count: Int) -> Int { (alignment - count % alignment) % alignment }
}

/// Little-endian numbers and texts with their lengths.
private struct GGUFBytes {
  private(set) var all: [UInt8] = []

  mutating func append(_ bytes: some Sequence<UInt8>) { all += bytes }

  mutating func append(_ number: some FixedWidthInteger) {
    withUnsafeBytes(of: number.littleEndian) { all += $0 }
  }

  mutating func appendText(_ text: some Collection<UInt8>) {
    append(UInt64(text.count))
    append(text)
  }

  mutating func append(_ value: GGUFFile.Value) {
    append(value.type)
    switch value {
    case .uint32(let number): append(number)
    case .float32(let number): append(number.bitPattern)
    case .bool(let isTrue): append(UInt8(isTrue ? 1 : 0))
    case .string(let text): appendText(text)
    case .strings(let texts):
      append(UInt32(8))
      append(UInt64(texts.count))
      for text in texts { appendText(text) }
    case .floats(let numbers):
      append(UInt32(6))
      append(UInt64(numbers.count))
      for number in numbers { append(number.bitPattern) }
    case .int32s(let numbers):
      append(UInt32(5))
      append(UInt64(numbers.count))
      for number in numbers { append(number) }
    }
  }
}
