import Machine
import TestSupport
import Testing

struct ProcessorsTests {
  @Test func affinityAndQuotaDecide() {
    #expect(Processors.allowed(affinity: 8, quota: nil) == 8)
    #expect(Processors.allowed(affinity: 8, quota: 2) == 2)
    #expect(Processors.allowed(affinity: 8, quota: 1.5) == 2)
    #expect(Processors.allowed(affinity: 2, quota: 6) == 2)
    #expect(Processors.allowed(affinity: 8, quota: 0.05) == 1)
    #expect(Processors.allowed >= 1 && Processors.allowed <= Processors.affinity)
  }

  private static let unified = "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
  private static let legacy =
    "24 1 0:1 / / rw - ext4 /dev/vda rw\n"
    + "31 24 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n"
    + "32 24 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"

  private func quota(_ files: [String: String]) throws -> Double? {
    let folder = try TemporaryFolder()
    for (name, text) in files { try folder.write(text, to: name) }
    return ControlGroups(root: folder.path).quota()
  }

  @Test func theTightestGroupCounts() throws {
    let group = ["proc/self/cgroup": "0::/batch/job/task\n", "proc/self/mountinfo": Self.unified]
    #expect(try quota([:]) == nil)
    #expect(try quota(group) == nil)
    let here = "sys/fs/cgroup/batch/job/task/cpu.max"
    #expect(try quota(group.merging([here: "max 100000\n"]) { $1 }) == nil)
    #expect(try quota(group.merging([here: "150000 100000\n"]) { $1 }) == 1.5)
    let above = ["sys/fs/cgroup/batch/cpu.max": "50000 100000\n", here: "400000 100000\n"]
    #expect(try quota(group.merging(above) { $1 }) == 0.5)
    #expect(try quota(group.merging(["sys/fs/cgroup/cpu.max": "300000 100000"]) { $1 }) == 3)
    for damaged in ["", "max", "0 0", "-1 100000", "nan nan", "100000"] {
      #expect(try quota(group.merging([here: damaged]) { $1 }) == nil, "\(damaged)")
    }
  }

  @Test func bothVersionsAreRead() throws {
    let group = [
      "proc/self/cgroup": "5:memory:/x\n4:cpu,cpuacct:/box/inner\n0::/\n",
      "proc/self/mountinfo": Self.legacy,
    ]
    let folder = "sys/fs/cgroup/cpu,cpuacct/box"
    #expect(
      try quota(
        group.merging([
          folder + "/inner/cpu.cfs_quota_us": "-1\n",
          folder + "/inner/cpu.cfs_period_us": "100000\n",
          folder + "/cpu.cfs_quota_us": "200000\n", folder + "/cpu.cfs_period_us": "100000\n",
        ]) { $1 }) == 2)
  }

  /// In a container the group is known by a name of the host and seen at the mount itself.
  @Test func groupsOfContainersAreFound() throws {
    let seen = ["sys/fs/cgroup/cpu.max": "200000 100000\n"]
    for (group, mount) in [
      ("0::/\n", Self.unified),
      ("0::/docker/a1\n", "30 24 0:26 /docker/a1 /sys/fs/cgroup rw - cgroup2 c rw\n"),
      ("0::/../outside\n", Self.unified),
      ("0::/elsewhere\n", "30 24 0:26 /docker/a1 /sys/fs/cgroup rw - cgroup2 c rw\n"),
    ] {
      let found = try quota(
        seen.merging(["proc/self/cgroup": group, "proc/self/mountinfo": mount]) { $1 })
      #expect(found == 2, "\(group)")
    }
    let inner = try quota([
      "proc/self/cgroup": "0::/docker/a1/job\n",
      "proc/self/mountinfo": "30 24 0:26 /docker/a1 /my\\040groups rw - cgroup2 c rw\n",
      "my groups/job/cpu.max": "100000 100000\n",
    ])
    #expect(inner == 1)
  }
}
