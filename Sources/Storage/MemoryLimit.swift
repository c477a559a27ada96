import Foundation

/// How much memory this process may still take, and who says so.
///
/// Memory is planned before it is taken: Linux promises more than it has and ends the process that
/// believes it, so whatever follows from outside input is asked for here first.
package struct MemoryLimit: Sendable, Equatable {
  /// Bytes that can still be taken.
  package let room: Int
  /// What draws the line, with its size, as a noun.
  package let reason: String

  package init(room: Int, reason: String) {
    self.room = max(0, room)
    self.reason = reason
  }

  /// The tightest limit: memory of the machine, of the control groups (both versions) and of
  /// `ulimit -v` and `ulimit -d`.
  package static func current() -> MemoryLimit {
    let used = Usage.current
    var limits = [
      total(
        Int(clamping: ProcessInfo.processInfo.physicalMemory), used: used.resident,
        "the machine's memory")
    ]
    if let group = groupLimit {
      limits.append(total(group, used: used.resident, "the memory of the control group"))
    }
    if let most = resource(RLIMIT_AS) {
      limits.append(total(most, used: used.virtual, "the limit of ulimit -v"))
    }
    if let most = resource(RLIMIT_DATA) {
      limits.append(total(most, used: used.data, "the limit of ulimit -d"))
    }
    return limits.min { $0.room < $1.room } ?? limits[0]
  }

  /// Throws if so many bytes cannot be taken.
  ///
  /// - Parameters:
  ///   - need: Bytes that are about to be taken.
  ///   - purpose: What for, as a noun with which the sentence begins.
  ///   - advice: The way out, an imperative.
  package static func require(
    _ need: Int, for purpose: String, advice: String
  ) throws(MemoryShortage) {
    let limit = current()
    guard need > limit.room else { return }
    throw MemoryShortage(purpose: purpose, need: need, limit: limit, advice: advice)
  }

  private static func total(_ most: Int, used: Int, _ name: String) -> MemoryLimit {
    MemoryLimit(room: most - used, reason: "\(name), \(MemoryShortage.bytes(most)),")
  }

  // MARK: Limits of the process

  /// A limit of the process, or nil if there is none.
  private static func resource(_ kind: __rlimit_resource) -> Int? {
    var limit = rlimit()
    // No limit is the largest number.
    guard getrlimit(__rlimit_resource_t(kind.rawValue), &limit) == 0, limit.rlim_cur < UInt(Int.max)
    else { return nil }
    return Int(limit.rlim_cur)
  }

  /// What the process holds, in bytes.
  private struct Usage {
    var virtual = 0
    var resident = 0
    var data = 0

    static var current: Usage {
      // Pages: all, in memory, shared, text, 0, data and stack.
      guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else {
        return Usage()
      }
      let pages = text.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
      guard pages.count > 5 else { return Usage() }
      let page = Int(sysconf(Int32(_SC_PAGESIZE)))
      return Usage(virtual: pages[0] * page, resident: pages[1] * page, data: pages[5] * page)
    }
  }

  // MARK: Control groups

  /// The smallest limit of the process's control groups; they do not change while it runs.
  private static let groupLimit: Int? = {
    guard let text = try? String(contentsOfFile: "/proc/self/cgroup", encoding: .utf8) else {
      return nil
    }
    return groupLimit(of: text, root: "/sys/fs/cgroup")
  }()

  /// The smallest memory limit of control groups and of those above them.
  ///
  /// - Parameters:
  ///   - groups: As `/proc/self/cgroup` has them, `hierarchy:controllers:path`.
  ///   - root: Where the file system of the groups is mounted.
  package static func groupLimit(of groups: String, root: String) -> Int? {
    var limits: [Int] = []
    for line in groups.split(separator: "\n") {
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      let isSecond = fields[0] == "0" && fields[1].isEmpty
      guard isSecond || fields[1].split(separator: ",").contains("memory") else { continue }
      let folder = isSecond ? root : root + "/memory"
      let file = isSecond ? "memory.max" : "memory.limit_in_bytes"
      // The path may be that of the host, seen from inside a container: then only the root is there.
      var parts = fields[2].split(separator: "/")
      while true {
        let path = ([folder] + parts.map(String.init) + [file]).joined(separator: "/")
        if let text = try? String(contentsOfFile: path, encoding: .utf8),
          let limit = Int(text.trimmingCharacters(in: .whitespacesAndNewlines))
        {
          limits.append(limit)
        }
        if parts.isEmpty { break }
        parts.removeLast()
      }
    }
    return limits.min()
  }
}

/// Memory that is needed and not to be had, known before it was taken.
package struct MemoryShortage: Error, Equatable, Sendable, CustomStringConvertible {
  /// What it was for, as a noun.
  package let purpose: String
  package let need: Int
  package let limit: MemoryLimit
  package let advice: String

  package init(purpose: String, need: Int, limit: MemoryLimit, advice: String) {
    self.purpose = purpose
    self.need = need
    self.limit = limit
    self.advice = advice
  }

  package var description: String {
    "\(purpose) needs \(Self.bytes(need)) of memory, but \(limit.reason) leaves "
      + "\(Self.bytes(limit.room)); \(advice)"
  }

  /// `4.1 MB`, powers of 1,000.
  fileprivate static func bytes(_ value: Int) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"]
    var scaled = Double(value)
    var unit = 0
    while scaled >= 999.95, unit + 1 < units.count {
      scaled /= 1_000
      unit += 1
    }
    return unit == 0 ? "\(value) B" : String(format: "%.1f \(units[unit])", scaled)
  }
}
