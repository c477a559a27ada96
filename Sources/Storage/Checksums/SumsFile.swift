/// The lines of a `SHA256SUMS` file, as `sha256sum` writes and checks them.
package enum SumsFile {
  package static let name = "SHA256SUMS"

  /// One line: a checksum and the file it belongs to.
  package struct Line: Sendable, Equatable {
    package let digest: String
    package let name: String

    package init(digest: String, name: String) {
      self.digest = digest
      self.name = name
    }
  }

  package static func encode(_ lines: [Line]) -> [UInt8] {
    lines.flatMap { Array("\($0.digest)  \($0.name)\n".utf8) }
  }

  /// The lines of a file, or nil if one of them is not a sum and a name.
  package static func parse(_ bytes: [UInt8]) -> [Line]? {
    guard !bytes.isEmpty, bytes.last == UInt8(ascii: "\n") else { return nil }
    var lines: [Line] = []
    for line in bytes.dropLast().split(
      separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    {
      let digest = line.prefix(64)
      let rest = line.dropFirst(64)
      let isHexadecimal = digest.allSatisfy {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
          || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
      }
      guard digest.count == 64, isHexadecimal, rest.count > 2, rest.starts(with: Array("  ".utf8)),
        let name = String(validating: rest.dropFirst(2), as: UTF8.self)
      else { return nil }
      lines.append(Line(digest: String(decoding: digest, as: UTF8.self), name: name))
    }
    return lines
  }
}
