import Foundation
import Storage
import TestSupport
import Testing

@Suite struct MemoryLimitTests {
  /// The smallest limit counts, of the group and of those above it, in both versions.
  @Test func groupsAndThoseAboveThemCount() throws {
    let folder = try TemporaryFolder()
    let root = folder.path + "/cgroup"
    func put(_ value: String, _ path: String) throws {
      let url = URL(fileURLWithPath: root + "/" + path)
      try FileManager.default.createDirectory(
        at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data((value + "\n").utf8).write(to: url)
    }
    #expect(MemoryLimit.groupLimit(of: "0::/a/b\n", root: root) == nil)
    try put("max", "a/b/memory.max")
    #expect(MemoryLimit.groupLimit(of: "0::/a/b\n", root: root) == nil)
    try put("3000000000", "a/memory.max")
    #expect(MemoryLimit.groupLimit(of: "0::/a/b\n", root: root) == 3_000_000_000)
    try put("2000000000", "a/b/memory.max")
    #expect(MemoryLimit.groupLimit(of: "0::/a/b\n", root: root) == 2_000_000_000)
    // A container sees its own group as the root, and the path of the host in the file.
    try put("1000000000", "memory.max")
    #expect(MemoryLimit.groupLimit(of: "0::/docker/0123\n", root: root) == 1_000_000_000)
    // Version 1, beside controllers that say nothing of memory.
    try put("500000000", "memory/x/memory.limit_in_bytes")
    let first = "5:cpu,cpuacct:/y\n4:memory:/x\n"
    #expect(MemoryLimit.groupLimit(of: first, root: root) == 500_000_000)
    #expect(MemoryLimit.groupLimit(of: first + "0::/\n", root: root) == 500_000_000)
  }

  @Test func whatIsNotToBeHadIsRefusedBefore() throws {
    let limit = MemoryLimit.current()
    #expect(limit.room > 0)
    try MemoryLimit.require(1, for: "a test", advice: "-")
    let error = #expect(throws: MemoryShortage.self) {
      try MemoryLimit.require(1 << 60, for: "a test", advice: "take less")
    }
    #expect(error?.need == 1 << 60)
    #expect(error?.description.hasSuffix("take less") == true)
  }
}
