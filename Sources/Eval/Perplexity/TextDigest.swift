import Storage

/// Checksums of a text, with one newline after every line.
///
/// For one plain file these are what `md5sum` and `sha256sum` print, for several those of their
/// concatenation.
package struct TextDigest: Sendable {
  private var md5 = MD5()
  private var sha256 = SHA256()

  package init() {}

  package mutating func add(line: [UInt8]) {
    let bytes = line + [UInt8(ascii: "\n")]
    md5.update(bytes)
    sha256.update(bytes)
  }

  /// Both checksums; no line may be added afterwards.
  package mutating func finalize() -> TextSums {
    TextSums(md5: md5.finalize(), sha256: sha256.finalize())
  }
}

/// The checksums of a text, in hexadecimal.
package struct TextSums: Sendable, Equatable, Codable {
  package var md5: String
  package var sha256: String

  package init(md5: String, sha256: String) {
    self.md5 = md5
    self.sha256 = sha256
  }
}
