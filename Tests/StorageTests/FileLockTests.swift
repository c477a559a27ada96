import Foundation
import Storage
import Synchronization
import TestSupport
import Testing

@Suite struct FileLockTests {
  private static func take(_ path: String) throws -> FileLock {
    try FileLock(of: "the run", at: path)
  }

  /// The lock file of a process that has ended without leaving: as one that leaves had it.
  private static func leftover(at path: String, changing: (inout [String: Any]) -> Void = { _ in })
    throws
  {
    let lock = try take(path)
    let bytes = try Files.contents(of: path)
    lock.release()
    var fields = try #require(
      JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
    changing(&fields)
    try AtomicFile.write(
      [UInt8](try JSONSerialization.data(withJSONObject: fields)), to: path)
  }

  @Test func theSecondIsToldWhoHoldsIt() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/lock"
    let lock = try Self.take(path)
    let error = #expect(throws: LockError.self) { try Self.take(folder.path + "/./lock") }
    guard case .held(_, _, let holder) = error else { throw try #require(error) }
    #expect(holder?.process == getpid())
    #expect("\(try #require(error))".contains("process \(getpid()) on \(holder?.host ?? "?")"))
    #expect("\(try #require(error))".contains("remove \(folder.path)/./lock"))
    lock.release()
    #expect(try Files.entries(of: folder.path) == [])
    try Self.take(path).release()
    #expect(try Files.entries(of: folder.path) == [])
  }

  /// The number of a process that has ended may be another's by now: here it is this one's.
  @Test func whatADeadProcessOfThisMachineLeftIsTakenOver() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/lock"
    for change: (inout [String: Any]) -> Void in [
      { _ in },
      { $0["process"] = 99_999_999 },
      // Another host name on the same kernel: a container.
      { $0["host"] = "elsewhere" },
      // The machine has been started again since.
      { $0["boot"] = "another" },
    ] {
      try Self.leftover(at: path, changing: change)
      let lock = try Self.take(path)
      #expect(throws: LockError.self) { try Self.take(path) }
      lock.release()
      #expect(try Files.entries(of: folder.path) == [])
    }
    for bytes: [UInt8] in [[], Array("{".utf8)] {
      try AtomicFile.write(bytes, to: path)
      try Self.take(path).release()
      #expect(try Files.entries(of: folder.path) == [])
    }
  }

  @Test func whatAnotherMachineLeftIsNeverTakenOver() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/lock"
    try Self.leftover(at: path) {
      $0["host"] = "elsewhere"
      $0["boot"] = "another"
      $0["machine"] = "another"
    }
    let bytes = try Files.contents(of: path)
    let error = #expect(throws: LockError.self) { try Self.take(path) }
    #expect("\(try #require(error))".contains("on elsewhere"))
    #expect(try Files.contents(of: path) == bytes)
    #expect(try Files.entries(of: folder.path) == ["lock"])
    try Files.remove(path)
    try Self.take(path).release()
  }

  /// Many that begin, or take over, at the same moment: one of them has it.
  @Test(arguments: [false, true]) func oneOfManyHasIt(isTakenOver: Bool) throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/lock"
    for _ in 0..<20 {
      if isTakenOver { try Self.leftover(at: path) }
      nonisolated(unsafe) var locks: [FileLock] = []
      let turns = NSLock()
      DispatchQueue.concurrentPerform(iterations: 8) { _ in
        if let lock = try? Self.take(path) { turns.withLock { locks.append(lock) } }
      }
      #expect(locks.count == 1)
      for lock in locks { lock.release() }
      #expect(try Files.entries(of: folder.path) == [])
    }
  }

  @Test func foldersMadeForItGoWithItUnlessSomethingIsInThem() throws {
    let folder = try TemporaryFolder()
    try Self.take(folder.path + "/a/b/lock").release()
    #expect(try Files.entries(of: folder.path) == [])
    let lock = try Self.take(folder.path + "/a/b/lock")
    try folder.write([1], to: "a/b/file")
    lock.release()
    #expect(try Files.entries(of: folder.path + "/a/b") == ["file"])
  }

  @Test func aLockRemovedByHandIsNotForgotten() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/lock"
    let first = try Self.take(path)
    try first.confirm()
    try Files.remove(path)
    try first.confirm()
    #expect(throws: LockError.self) { try Self.take(path) }
    try Files.remove(path)
    let second = try Self.take(path)
    #expect(throws: LockError.self) { try first.confirm() }
    first.release()
    #expect(throws: LockError.self) { try Self.take(path) }
    second.release()
    #expect(try Files.entries(of: folder.path) == [])
  }

  @Test func aHolderThatLeavesIsWaitedFor() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/lock"
    let count = Mutex(0)
    DispatchQueue.concurrentPerform(iterations: 8) { _ in
      guard let lock = try? FileLock(of: "a log", at: path, waiting: 60) else { return }
      count.withLock { $0 += 1 }
      lock.release()
    }
    #expect(count.withLock { $0 } == 8)
    #expect(try Files.entries(of: folder.path) == [])
  }
}
