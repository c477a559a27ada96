import Foundation
import Storage
import TestSupport
import Testing

@Suite struct SHA256Tests {
  // The examples of FIPS 180-4.
  @Test(arguments: [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
    (
      "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
        + "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
      "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"
    ),
  ])
  func knownVectors(message: String, digest: String) {
    #expect(SHA256.hexDigest(of: Array(message.utf8)) == digest)
  }

  @Test func aMillionLetters() {
    // Not an argument of the test above: the log prints arguments.
    #expect(
      SHA256.hexDigest(of: [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000))
        == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  @Test func piecesGiveTheSameDigestHoweverTheyAreCut() {
    let message = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ $0 >> 3) }
    let expected = SHA256.hexDigest(of: message)
    for step in [1, 3, 55, 56, 63, 64, 65, 127, 128, 129, 999] {
      var hash = SHA256()
      var start = 0
      while start < message.count {
        let end = min(message.count, start + step)
        hash.update(Array(message[start..<end]))
        hash.update([])
        start = end
      }
      #expect(hash.finalize() == expected, "step \(step)")
    }
  }

  @Test func instructionsGiveTheDigestOfTheRounds() {
    let message = (0..<5_000).map { UInt8(truncatingIfNeeded: $0 &* $0 &* 7 >> 3) }
    for count in [0, 1, 63, 64, 65, 128, 191, 1_000, 5_000] {
      var portable = SHA256(portable: true)
      portable.update(Array(message.prefix(count)))
      #expect(portable.finalize() == SHA256.hexDigest(of: Array(message.prefix(count))))
    }
  }

  @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/sha256sum")))
  func agreesWithTheSystemTool() throws {
    let folder = try TemporaryFolder()
    for size in [0, 1, 55, 56, 63, 64, 65, 119, 120, 1 << 20, (1 << 20) + 17] {
      let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 251 &+ size) }
      let path = folder.path + "/file"
      try AtomicFile.write(bytes, to: path)
      let output = try run("/usr/bin/sha256sum", [path])
      #expect(try SHA256.hexDigest(ofFile: path) == output.prefix(64), "\(size) bytes")
      #expect(SHA256.hexDigest(of: bytes) == output.prefix(64), "\(size) bytes")
    }
  }

  @Test func aMissingFileIsNamed() {
    let error = #expect(throws: StorageError.self) {
      try SHA256.hexDigest(ofFile: "/nonexistent/file")
    }
    #expect("\(String(describing: error))".contains("/nonexistent/file"))
  }

  private func run(_ tool: String, _ arguments: [String]) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: tool)
    process.arguments = arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return String(decoding: output, as: UTF8.self)
  }
}
