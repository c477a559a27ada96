import CommandSupport
import Foundation
import TestSupport
import Testing

/// Messages that nobody can read cost no work, and figures that nobody gets are no success.
@Suite(.serialized) struct StandardStreamsTests {
  /// Standard error as it should be, on a full disk, closed, as a pipe whose reader has gone, and
  /// closed with the other two, where a data file would take its number.
  private static let places = [
    "2>&1", "2>/dev/full", "2>&-", "2> >(exit)", "<&- >&- 2>&-",
  ]

  private static func text() -> String {
    let words = ["ash", "oak", "elm", "fir", "yew", "a tree", "the wood"]
    return (0..<200).map { "\(words[$0 % 7]) is near \(words[$0 * 3 % 7]) ." }
      .joined(separator: "\n") + "\n"
  }

  @Test func messagesThatCannotBeWrittenAreDropped() throws {
    let folder = try TemporaryFolder()
    let text = try folder.write(Self.text(), to: "text.txt")
    var weights: [[String: [UInt8]]] = []
    for (index, place) in Self.places.enumerated() {
      let (data, run) = (folder.path + "/data\(index)", folder.path + "/run\(index)")
      // Without a place for figures only figures are lost.
      let hasOutput = !place.contains(">&- 2>&-")
      for (name, arguments) in [
        (
          "lm-tokenize",
          ["--train", text, "--split-test", "0.1", "--vocab-size", "278", "--output", data]
        ),
        (
          "lm-train",
          [
            "--data", data, "--output", run, "--layers", "1", "--width", "16", "--heads", "2",
            "--hidden", "32", "--steps", "8", "--batch-tokens", "100", "--log-every", "1",
          ]
        ),
        (
          "lm-eval",
          ["--checkpoint", run, "--data", data, "--score", folder.path + "/scores\(index)"]
        ), ("lm-eval", ["--verify", run]),
        ("lm-sample", ["--checkpoint", run, "--prompt", "ash ", "--count", "2"]),
        ("lm-bench", ["attention", "--lengths", "16", "--rounds", "1"]),
      ] {
        let outcome = try runProgram(name, arguments, redirections: place)
        #expect(outcome.status == (hasOutput ? 0 : 1), "\(name) \(place): \(outcome)")
        #expect(!hasOutput || !outcome.output.isEmpty, "\(name) \(place)")
      }
      var files = try folder.contents(of: "data\(index)")
      files.merge(try folder.contents(of: "run\(index)/step-00000008")) { $1 }
      // Times are in it; its sum is among the sums.
      files["state.json"] = nil
      files["SHA256SUMS"] = nil
      files["scores"] = FileManager.default.contents(atPath: folder.path + "/scores\(index)")
        .map(Array.init)
      weights.append(files)
    }
    for (place, files) in zip(Self.places, weights).dropFirst() {
      #expect(files["scores"] != nil && files.count == weights[0].count, "\(place)")
      for (name, bytes) in weights[0] { #expect(files[name] == bytes, "\(place): \(name)") }
    }
  }

  @Test func codesAreThoseOfTheWork() throws {
    for name in ["lm-tokenize", "lm-train", "lm-eval", "lm-sample", "lm-bench"] {
      for place in Self.places.dropFirst() where !place.hasPrefix("<") {
        for (arguments, code) in [(["--help"], 0), (["--no-such-option"], 2)] as [([String], Int32)]
        {
          let outcome = try runProgram(name, arguments, redirections: place)
          #expect(outcome.status == code, "\(name) \(arguments) \(place): \(outcome)")
        }
      }
      for place in [">/dev/full", ">&-"] {
        for arguments in [
          ["--help"], ["--generate-manual"], ["--generate-completion-script", "bash"],
        ] {
          let outcome = try runProgram(name, arguments, redirections: place)
          #expect(outcome.status == 1, "\(name) \(arguments) \(place): \(outcome)")
        }
      }
    }
  }

  /// A descriptor that does not block is waited for where there is a reader, and given up in the end.
  @Test func whatDoesNotBlockIsWrittenWhole() async throws {
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    try #require(fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0)
    let bytes = (0..<1 << 20).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    let (from, to) = (ends[0], ends[1])
    async let read = FileHandle(fileDescriptor: from).readData(ofLength: bytes.count)
    #expect(StandardStreams.write(bytes, to: to, timeout: -1) == 0)
    #expect(await read == Data(bytes))
    #expect(StandardStreams.write(bytes, to: to, timeout: 1) == EAGAIN)
    close(from)
    signal(SIGPIPE, SIG_IGN)
    #expect(StandardStreams.write(bytes, to: to, timeout: 1) == EPIPE)
    close(to)
    #expect(StandardStreams.write(bytes, to: -1, timeout: 1) == EBADF)
  }
}
