import Foundation
import Storage
import TestSupport
import Testing

@Suite struct PipeSpoolTests {
  /// A pipe gives its bytes once; under the name that stands for it they can be read again.
  @Test func pipesAreReadAgainAndAgain() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/pipe"
    try #require(mkfifo(path, 0o600) == 0)
    let text = [UInt8]((0..<300_000).map { UInt8($0 % 251) })
    let writer = Thread {
      try? FileHandle(forWritingAtPath: path)?.write(contentsOf: Data(text))
    }
    writer.start()
    let place = try PipeSpool.readable(path)
    #expect(place != path)
    for _ in 0..<3 {
      #expect(try Files.contents(of: PipeSpool.readable(path)) == text)
      #expect(try Files.contents(of: place) == text)
    }
  }

  @Test func filesAreTheirOwnPlace() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("text\n", to: "text.txt")
    #expect(try PipeSpool.readable(path) == path)
    #expect(try PipeSpool.readable(folder.path + "/none") == folder.path + "/none")
    #expect(try PipeSpool.readable(folder.path) == folder.path)
  }
}
