import Foundation
import Storage
import TestSupport
import Testing

/// MD5 and CRC-32C against published values; SHA-256 has a file of its own.
@Suite struct ChecksumTests {
  /// RFC 1321, appendix A.5.
  @Test(arguments: [
    ("", "d41d8cd98f00b204e9800998ecf8427e"), ("a", "0cc175b9c0f1b6a831c399e269772661"),
    ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
    (
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
      "d174ab98d277d9f5a5611c2c9f419d9f"
    ),
    (
      "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
      "57edf4a22be3c955ac49da2e2107b67a"
    ),
  ])
  func md5OfTheStandard(text: String, expected: String) {
    var whole = MD5()
    whole.update(Array(text.utf8))
    #expect(whole.finalize() == expected)
    var parts = MD5()
    for byte in text.utf8 { parts.update([byte]) }
    #expect(parts.finalize() == expected)
  }

  @Test func md5DoesNotDependOnTheParts() {
    let bytes = (0..<1_000).map { UInt8(truncatingIfNeeded: $0 * 7 + $0 / 13) }
    var whole = MD5()
    whole.update(bytes)
    let expected = whole.finalize()
    for size in [1, 55, 56, 63, 64, 65, 300] {
      var parts = MD5()
      for start in stride(from: 0, to: bytes.count, by: size) {
        parts.update(bytes[start..<min(bytes.count, start + size)])
      }
      #expect(parts.finalize() == expected)
    }
  }

  /// RFC 3720, appendix B.4.
  @Test func crc32cOfTheStandard() {
    #expect(CRC32C.checksum(of: [UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
    #expect(CRC32C.checksum(of: [UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
    #expect(CRC32C.checksum(of: (0..<32).map { UInt8($0) }) == 0x46DD_794E)
    #expect(CRC32C.checksum(of: Array("123456789".utf8)) == 0xE306_9283)
  }

  /// The first twelve bytes of event files as TensorFlow writes them: a record of 24 bytes.
  @Test func maskedAsInTensorFlow() {
    let length: [UInt8] = [0x18, 0, 0, 0, 0, 0, 0, 0]
    #expect(CRC32C.masked(of: length) == 0x224B_7FA3)
  }

  @Test func filesAreCutOff() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("abcdef", to: "file")
    try Files.truncate(path, to: 4)
    #expect(try Files.contents(of: path) == Array("abcd".utf8))
    #expect(throws: StorageError.self) { try Files.truncate(folder.path + "/none", to: 0) }
  }
}
