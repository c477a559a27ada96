import Foundation
import Storage
import TestSupport
import Testing
import Train

/// TensorBoard's files: known bytes, and what is left of them after a crash.
@Suite struct EventLogTests {
  /// The bytes of `tensorboard.compat.proto` for the same message (checked by
  /// scripts/peers/check-tensorboard.sh as well).
  @Test func messagesAreAsTheProtocolSays() {
    #expect(
      EventRecord.scalars([("a/b", 1.5)], step: 300, wallTime: 2)
        == [
          0x09, 0, 0, 0, 0, 0, 0, 0, 0x40,  // wall_time: 2.0
          0x10, 0xAC, 0x02,  // step: 300
          0x2A, 0x0C,  // summary of 12 bytes
          0x0A, 0x0A,  // value of 10 bytes
          0x0A, 0x03, 0x61, 0x2F, 0x62,  // tag: "a/b"
          0x15, 0, 0, 0xC0, 0x3F,  // simple_value: 1.5
        ])
    let version = EventRecord.version(wallTime: 0)
    #expect(version.count == 24)
    let record = EventRecord.framed(version)
    #expect(Array(record.prefix(12)) == [0x18, 0, 0, 0, 0, 0, 0, 0, 0xA3, 0x7F, 0x4B, 0x22])
    #expect(record.count == 24 + 16)
  }

  private func write(_ run: String, steps: [Int], keepingUpTo step: Int) throws {
    let log = try EventLog(run: run, keepingUpTo: step)
    for step in steps { try log.append(step: step, [("train/nats", Double(step) / 3)]) }
  }

  /// A run that is taken up at step 20 leaves the file of a run that was never stopped.
  @Test func resumingRepeatsNothing() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/" + EventLog.name
    try write(folder.path, steps: [10, 20, 30, 40], keepingUpTo: 0)
    let whole = try Files.contents(of: path)
    #expect(EventLog.length(of: whole, keepingUpTo: 40) == whole.count)
    let upTo20 = EventLog.length(of: whole, keepingUpTo: 29)
    try write(folder.path, steps: [], keepingUpTo: 20)
    #expect(try Files.contents(of: path) == Array(whole.prefix(upTo20)))
    try write(folder.path, steps: [30, 40], keepingUpTo: 20)
    #expect(try Files.contents(of: path).count == whole.count)
    try write(folder.path, steps: [], keepingUpTo: 0)
    #expect(try Files.contents(of: path).count == 40)
  }

  /// A file that was cut anywhere, or has a byte changed anywhere, keeps its good beginning.
  @Test func damageCostsOnlyWhatFollowsIt() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/" + EventLog.name
    try write(folder.path, steps: [1, 2, 3], keepingUpTo: 0)
    let whole = try Files.contents(of: path)
    let ends = (0...3).map { EventLog.length(of: whole, keepingUpTo: $0) }
    #expect(Set(ends).count == 4 && ends.last == whole.count)
    for cut in 0...whole.count {
      let expected = ends.last { $0 <= cut } ?? 0
      #expect(EventLog.length(of: Array(whole.prefix(cut)), keepingUpTo: 9) == expected)
    }
    for place in whole.indices {
      var damaged = whole
      damaged[place] ^= 0x40
      let expected = ends.last { $0 <= place } ?? 0
      #expect(EventLog.length(of: damaged, keepingUpTo: 9) == expected)
    }
    try folder.write("no event file", to: EventLog.name)
    try write(folder.path, steps: [1], keepingUpTo: 0)
    #expect(try Files.contents(of: path).count == ends[1])
  }
}
