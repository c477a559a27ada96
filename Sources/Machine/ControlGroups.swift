import Foundation

/// The control groups that this process is in, of both versions.
///
/// Source: cgroups(7), the kernel's cgroup-v2.rst and sched-bwc.rst. A group's limit holds for all
/// groups inside it, so each of them is asked, up to the root of what is mounted here.
package struct ControlGroups {
  private let root: String

  /// - Parameter root: Where `proc` and the mounts are; tests have trees of their own.
  package init(root: String = "") {
    self.root = root
  }

  /// Processor seconds a second that this process may use, by its tightest group; nil for no limit.
  package func quota() -> Double? {
    let limits = folders().flatMap { folder, isUnified in
      isUnified ? [unifiedQuota(folder)] : [legacyQuota(folder)]
    }
    return limits.compactMap { $0 }.min()
  }

  /// `cpu.max`: microseconds or `max`, and the period.
  private func unifiedQuota(_ folder: String) -> Double? {
    let words = text(folder + "/cpu.max")?.split(whereSeparator: \.isWhitespace) ?? []
    return Self.share(words.first.map(String.init), of: words.dropFirst().first.map(String.init))
  }

  private func legacyQuota(_ folder: String) -> Double? {
    Self.share(
      text(folder + "/cpu.cfs_quota_us"), of: text(folder + "/cpu.cfs_period_us"))
  }

  private static func share(_ quota: String?, of period: String?) -> Double? {
    func number(_ text: String?) -> Double? {
      text.flatMap { Double($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
    }
    guard let quota = number(quota), let period = number(period), quota > 0, period > 0 else {
      return nil
    }
    return quota / period
  }

  // MARK: Where the groups are

  /// The folders of this process's groups that may limit processors, and of all groups around them.
  private func folders() -> [(path: String, isUnified: Bool)] {
    var result: [(path: String, isUnified: Bool)] = []
    let mounts = mounts()
    for line in (text("/proc/self/cgroup") ?? "").split(separator: "\n") {
      // Number, controllers and path; the path may hold colons.
      let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3 else { continue }
      let isUnified = parts[0] == "0" && parts[1].isEmpty
      guard isUnified || parts[1].split(separator: ",").contains("cpu") else { continue }
      for mount in mounts where mount.isUnified == isUnified {
        var folder = mount.folder(of: String(parts[2]))
        while folder.count >= mount.path.count {
          result.append((folder, isUnified))
          guard folder != mount.path, let slash = folder.lastIndex(of: "/") else { break }
          folder = String(folder[..<slash])
        }
      }
    }
    return result
  }

  private struct Mount {
    let path: String
    /// The group that is mounted there, as the kernel names it.
    let group: String
    let isUnified: Bool

    /// Where a group is seen; the mount itself where it is not below what is mounted.
    func folder(of path: String) -> String {
      let top = group == "/" ? "" : group
      guard path.hasPrefix(top + "/"), !path.hasPrefix("/.."), path != "/" else { return self.path }
      return self.path + path.dropFirst(top.count)
    }
  }

  /// Mounted hierarchies that may limit processors.
  private func mounts() -> [Mount] {
    (text("/proc/self/mountinfo") ?? "").split(separator: "\n").compactMap { line in
      // `36 35 98:0 /group /path options … - type source options`
      let words = line.split(separator: " ").map(String.init)
      guard let dash = words.firstIndex(of: "-"), dash >= 6, words.count > dash + 3 else {
        return nil
      }
      let isUnified = words[dash + 1] == "cgroup2"
      let isLegacy =
        words[dash + 1] == "cgroup" && words[dash + 3].split(separator: ",").contains("cpu")
      guard isUnified || isLegacy else { return nil }
      return Mount(
        path: Self.unescaped(words[4]), group: Self.unescaped(words[3]), isUnified: isUnified)
    }
  }

  /// Spaces and backslashes are written as octal numbers there.
  private static func unescaped(_ text: String) -> String {
    var result = text
    for (code, character) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
      result = result.replacingOccurrences(of: code, with: character)
    }
    return result
  }

  private func text(_ path: String) -> String? {
    try? String(contentsOfFile: root + path, encoding: .utf8)
  }
}
