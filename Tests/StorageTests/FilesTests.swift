import Foundation
import Storage
import TestSupport
import Testing

@Suite struct FilesTests {
  @Test func atomicWriteReplacesAndLeavesNothingBeside() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/value"
    for bytes: [UInt8] in [[], [1], Array(repeating: 9, count: 3 << 20)] {
      try AtomicFile.write(bytes, to: path)
      #expect(try Files.contents(of: path) == bytes)
      #expect(try Files.size(of: path) == bytes.count)
      #expect(try Files.entries(of: folder.path) == ["value"])
    }
  }

  @Test func aFailedWriteKeepsTheOldFile() throws {
    let folder = try TemporaryFolder()
    // A folder in the way of the rename makes the last step fail.
    let path = folder.path + "/taken"
    try Files.createDirectory(path + "/inside")
    #expect(throws: StorageError.self) { try AtomicFile.write([1, 2], to: path) }
    #expect(try Files.entries(of: folder.path) == ["taken"])
    #expect(Files.isDirectory(path + "/inside"))
  }

  @Test(.enabled(if: Files.exists("/dev/full")))
  func aFullDiskIsSaidInWords() throws {
    let error = #expect(throws: StorageError.self) {
      let writer = try FileWriter(path: "/dev/full")
      try writer.append([1, 2, 3])
    }
    #expect(error == .system(path: "/dev/full", doing: "write", code: ENOSPC))
    let words = try #require(error).description
    #expect(words.contains("could not write /dev/full: No space left on device"))
    #expect(words.contains("free some space"))
  }

  @Test func forgottenPagesOfAMappedFileAreReadAgain() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/pages"
    let bytes = (0..<50_001).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 5) }
    try AtomicFile.write(bytes, to: path)
    let mapped = try MappedFile(path: path)
    for range in [0..<50_001, 5_000..<17_000, 4_096..<4_097, 49_000..<50_001, 0..<0] {
      #expect(Array(mapped.bytes) == bytes)
      mapped.forget(range)
    }
    #expect(Array(mapped.bytes) == bytes)
    let empty = folder.path + "/empty"
    try AtomicFile.write([], to: empty)
    try MappedFile(path: empty).forget(0..<0)
  }

  @Test func errorsNameThePathAndTheReason() {
    let error = #expect(throws: StorageError.self) { try MappedFile(path: "/nonexistent/a") }
    #expect(error?.description == "could not open /nonexistent/a: No such file or directory")
    #expect(throws: StorageError.notAFile(path: "/")) { try MappedFile(path: "/") }
    #expect(throws: StorageError.self) { try FileWriter(path: "/nonexistent/a") }
    #expect(throws: StorageError.self) { try Files.entries(of: "/nonexistent") }
    #expect(throws: StorageError.self) { try AtomicFile.write([1], to: "/nonexistent/a") }
  }

  @Test func streamedFileHoldsEveryAppend() throws {
    let folder = try TemporaryFolder()
    let writer = try FileWriter(path: folder.path + "/stream")
    var expected: [UInt8] = []
    for size in [0, 1, 17, 70_000] {
      let piece = [UInt8](repeating: UInt8(size & 255), count: size)
      try writer.append(piece)
      expected += piece
    }
    #expect(writer.byteCount == expected.count)
    try writer.finish()
    let mapped = try MappedFile(path: writer.path)
    #expect([UInt8](mapped.bytes) == expected)
  }

  @Test func anEmptyFileMapsToNothing() throws {
    let folder = try TemporaryFolder()
    try AtomicFile.write([], to: folder.path + "/empty")
    #expect(try MappedFile(path: folder.path + "/empty").bytes.isEmpty)
  }

  @Test func removeOfNothingIsNoErrorAndLinksAreNotFollowed() throws {
    let folder = try TemporaryFolder()
    try Files.remove(folder.path + "/nothing")
    try Files.createDirectory(folder.path + "/a/b/c")
    try AtomicFile.write([1], to: folder.path + "/kept")
    try FileManager.default.createSymbolicLink(
      atPath: folder.path + "/a/link", withDestinationPath: folder.path + "/kept")
    try Files.remove(folder.path + "/a")
    #expect(try Files.entries(of: folder.path) == ["kept"])
  }

  @Test(arguments: [
    ("/a/b", "/a", "b"), ("a", ".", "a"), ("/a", "/", "a"), ("a/b/", "a", "b"), ("/", "/", ""),
    ("a//b", "a", "b"),
  ])
  func pathsAreCutAtTheLastSlash(path: String, parent: String, name: String) {
    #expect(Files.parent(of: path) == parent)
    #expect(Files.name(of: path) == name)
  }
}

@Suite struct AtomicDirectoryTests {
  @Test func appearsOnlyWithCommit() throws {
    let folder = try TemporaryFolder()
    let target = folder.path + "/run/step-1"
    let directory = try AtomicDirectory(target: target)
    try AtomicFile.write([1], to: directory.path + "/a")
    try Files.createDirectory(directory.path + "/deep")
    try AtomicFile.write([2], to: directory.path + "/deep/b")
    #expect(!Files.exists(target))
    try directory.commit()
    #expect(try Files.contents(of: target + "/a") == [1])
    #expect(try Files.contents(of: target + "/deep/b") == [2])
    #expect(try Files.entries(of: folder.path + "/run") == ["step-1"])
  }

  @Test func withoutCommitNothingStays() throws {
    let folder = try TemporaryFolder()
    do {
      let directory = try AtomicDirectory(target: folder.path + "/x")
      try AtomicFile.write([1], to: directory.path + "/a")
    }
    #expect(try Files.entries(of: folder.path) == [])
    let directory = try AtomicDirectory(target: folder.path + "/x")
    try directory.discard()
    try directory.discard()
    #expect(try Files.entries(of: folder.path) == [])
  }

  @Test func anExistingFolderIsReplacedOnlyWhenAsked() throws {
    let folder = try TemporaryFolder()
    let target = folder.path + "/x"
    try Files.createDirectory(target)
    try AtomicFile.write([1], to: target + "/old")
    let refused = try AtomicDirectory(target: target)
    #expect(throws: StorageError.exists(path: target)) { try refused.commit() }
    #expect(try Files.entries(of: target) == ["old"])
    try AtomicFile.write([2], to: refused.path + "/new")
    try refused.commit(replacing: true)
    #expect(try Files.entries(of: target) == ["new"])
    #expect(try Files.entries(of: folder.path) == ["x"])
  }

  @Test func onlyNamedFilesOfAnOldFolderAreRemoved() throws {
    struct Refused: Error {}
    let folder = try TemporaryFolder()
    let target = folder.path + "/x"
    try folder.write("1", to: "x/old")
    let refused = try AtomicDirectory(target: target)
    try AtomicFile.write([2], to: refused.path + "/new")
    #expect(throws: Refused.self) { try refused.commit { _ in throw Refused() } }
    #expect(try Files.entries(of: target) == ["old"])
    // The old folder has another name while it is looked at.
    let kept = try refused.commit { old in
      #expect(old != target && !Files.exists(target))
      let writer = try FileWriter(path: old + "/late")
      try writer.append([3])
      try writer.finish()
      return ["old"]
    }
    #expect(try Files.entries(of: target) == ["new"])
    let place = try #require(kept)
    #expect(try Files.contents(of: place + "/late") == [3])
    #expect(try AtomicDirectory.removeAbandoned(in: folder.path) { _ in true } == [])
    #expect(try Files.entries(of: folder.path).count == 2)
  }

  @Test func anEmptyFolderIsNoObstacle() throws {
    let folder = try TemporaryFolder()
    let target = folder.path + "/x"
    try Files.createDirectory(target)
    let directory = try AtomicDirectory(target: target)
    try AtomicFile.write([2], to: directory.path + "/new")
    try directory.commit()
    #expect(try Files.entries(of: target) == ["new"])
    #expect(try Files.entries(of: folder.path) == ["x"])
  }

  @Test func onlyLeftoversOfDeadProcessesAreRemoved() throws {
    let folder = try TemporaryFolder()
    let target = folder.path + "/x"
    let alive = try AtomicDirectory(target: target)
    // No process has the largest number there is.
    let dead = folder.path + "/.x.partial-\(Int32.max)-0"
    try Files.createDirectory(dead)
    try Files.createDirectory(folder.path + "/.y.partial-\(Int32.max)-0")
    #expect(try AtomicDirectory.removeAbandoned(besides: target) == [dead])
    #expect(Files.isDirectory(alive.path))
    #expect(Files.exists(folder.path + "/.y.partial-\(Int32.max)-0"))
  }

  /// On a shared disk the number of a process says nothing about another machine's: what has not been
  /// touched for days is abandoned, nothing else.
  @Test func leftoversOfOtherHostsAreLeftAlone() throws {
    let folder = try TemporaryFolder()
    let target = folder.path + "/x"
    let live = folder.path + "/.x.partial-00000000-\(Int32.max)-0"
    let old = folder.path + "/.x.partial-00000000-\(Int32.max)-1"
    let long: TimeInterval = 60 * 60 * 24 * 400
    for path in [live, old] {
      try Files.createDirectory(path)
      try AtomicFile.write([1], to: path + "/a")
      try FileManager.default.setAttributes(
        [.modificationDate: Date() - long], ofItemAtPath: path)
    }
    try FileManager.default.setAttributes(
      [.modificationDate: Date() - long], ofItemAtPath: old + "/a")
    #expect(try AtomicDirectory.removeAbandoned(besides: target) == [old])
    #expect(Files.exists(live + "/a"))
    // Names that are made say where.
    let made = Files.name(of: try AtomicDirectory(target: target).path)
    #expect(made.wholeMatch(of: /\.x\.partial-[0-9a-f]{8}-[0-9]+-[0-9]+/) != nil, "\(made)")
  }

  @Test func aFolderHalfReplacedComesBack() throws {
    let folder = try TemporaryFolder()
    let target = folder.path + "/x"
    let old = folder.path + "/.x.replaced-\(Int32.max)-1"
    let new = folder.path + "/.x.partial-\(Int32.max)-0"
    // As a process leaves them that dies between the two renames.
    try AtomicFile.write([1], to: folder.write("", to: ".x.replaced-\(Int32.max)-1/a"))
    try Files.createDirectory(new)
    #expect(try AtomicDirectory.removeAbandoned(besides: target) == [new])
    #expect(try Files.contents(of: target + "/a") == [1])
    // Once the new one has the name, the old one may go.
    try Files.createDirectory(old)
    #expect(try AtomicDirectory.removeAbandoned(besides: target) == [old])
    #expect(try Files.entries(of: folder.path) == ["x"])
  }

  @Test func leftoversOfManyTargetsAreSwept() throws {
    let folder = try TemporaryFolder()
    let dead = Int32.max
    let names = [
      ".latest.partial-\(dead)-3", ".step-1.partial-\(dead)-0", ".step-2.partial-\(dead)",
    ]
    let kept = [
      ".other.partial-\(dead)-0", ".step-1.partial-\(dead)-x", ".step-1.partial-",
      ".step-3.partial-\(getpid())-0", "step-1", "step-1.partial-\(dead)-0",
    ]
    for name in names + kept { try Files.createDirectory(folder.path + "/" + name) }
    let removed = try AtomicDirectory.removeAbandoned(in: folder.path) {
      $0.hasPrefix("step-") || $0 == "latest"
    }
    #expect(removed == names.map { folder.path + "/" + $0 })
    #expect(try Set(Files.entries(of: folder.path)) == Set(kept))
  }
}

@Suite struct JSONFileTests {
  private struct Inner: Codable, Equatable { var b: Double }
  private struct Value: Codable, Equatable {
    var z: Int
    var a: [Inner]
  }

  @Test func keysAreSortedAndValuesComeBack() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/value.json"
    let value = Value(z: 3, a: [Inner(b: 0.1), Inner(b: 1e-300)])
    try JSONFile.write(value, to: path)
    #expect(try JSONFile.read(Value.self, from: path) == value)
    let text = String(decoding: try Files.contents(of: path), as: UTF8.self)
    let a = try #require(text.range(of: "\"a\"")).lowerBound
    let z = try #require(text.range(of: "\"z\"")).lowerBound
    #expect(a < z)
    #expect(text.hasSuffix("}\n"))
  }

  @Test(arguments: [
    ("{\"a\": []}", "z is missing"),
    ("{\"a\": [{\"b\": 1}, {\"b\": \"x\"}], \"z\": 1}", "a.[1].b"),
    ("{\"a\": [", "top level"),
    ("", "top level"),
  ])
  func errorsNameTheFileAndTheKey(text: String, part: String) {
    let error = #expect(throws: StorageError.self) {
      try JSONFile.decode(Value.self, from: Array(text.utf8), path: "some.json")
    }
    #expect(error?.description.contains("some.json") == true)
    #expect(error?.description.contains(part) == true, "\(String(describing: error))")
  }

  @Test func numbersThatAreNotFiniteAreRefused() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/value.json"
    #expect(throws: StorageError.self) {
      try JSONFile.write(Value(z: 1, a: [Inner(b: .nan)]), to: path)
    }
    #expect(!Files.exists(path))
  }
}
