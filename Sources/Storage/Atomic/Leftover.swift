import Foundation
import Synchronization

/// Names for work in progress: hidden, beside the target, and never used twice.
///
/// `.NAME.partial-HOST-PID-N` is not complete, or no longer wanted; `.NAME.replaced-HOST-PID-N` is
/// the complete old folder while a new one takes its place. HOST stands for the machine, or the
/// container, in which the number of the process means something: folders may be shared.
struct Leftover {
  enum Kind: String, CaseIterable { case partial, replaced }

  /// Name of the file or folder that it was to become, or was.
  let target: String
  let kind: Kind
  let process: Int32
  /// Nil in names of before.
  let host: String?

  private static let counter = Atomic<Int>(0)

  /// Eight digits for the name of this machine and its space of process numbers.
  private static let ownHost: String = {
    var name = [CChar](repeating: 0, count: 256)
    gethostname(&name, name.count - 1)
    let space = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/pid")
    let bytes = name.map { UInt8(bitPattern: $0) } + Array((space ?? "").utf8)
    return String(SHA256.hexDigest(of: bytes).prefix(8))
  }()

  /// A new name in the folder of the target, so that a rename stays on one disk.
  static func sibling(of target: String, _ kind: Kind) -> String {
    while true {
      let number = counter.wrappingAdd(1, ordering: .relaxed).oldValue
      let name = ".\(Files.name(of: target)).\(kind.rawValue)-\(ownHost)-\(getpid())-\(number)"
      let path = Files.parent(of: target) + "/" + name
      // In a container every run may have the same process number.
      if !Files.exists(path) { return path }
    }
  }

  /// Reads a name made by `sibling`; nil for any other.
  init?(name: String) {
    for kind in Kind.allCases {
      guard name.hasPrefix("."),
        let mark = name.range(of: ".\(kind.rawValue)-", options: .backwards)
      else { continue }
      let parts = name[mark.upperBound...].split(separator: "-", omittingEmptySubsequences: false)
      let numbers = parts.suffix(parts.count == 3 ? 2 : parts.count)
      guard (1...3).contains(parts.count), numbers.allSatisfy({ Int32($0) ?? -1 >= 0 }),
        let process = numbers.first.flatMap({ Int32($0) }),
        parts.count < 3 || (parts[0].count == 8 && parts[0].allSatisfy(\.isHexDigit))
      else { continue }
      let target = name[..<mark.lowerBound].dropFirst()
      guard !target.isEmpty else { continue }
      self.target = String(target)
      self.kind = kind
      self.process = process
      host = parts.count == 3 ? String(parts[0]) : nil
      return
    }
    return nil
  }

  /// Whether the process that made it no longer runs: known on the same host, and elsewhere taken
  /// for granted once nothing has been written for a day.
  ///
  /// - Parameter path: The file or folder itself.
  func isAbandoned(_ path: String) -> Bool {
    if host == nil || host == Self.ownHost { return kill(process, 0) != 0 && errno == ESRCH }
    return time(nil) - Self.lastWritten(path) > 86_400
  }

  /// When a file, or anything in a folder, was written last, in seconds.
  private static func lastWritten(_ path: String) -> Int {
    var status = stat()
    guard lstat(path, &status) == 0 else { return time(nil) }
    guard status.st_mode & S_IFMT == S_IFDIR else { return status.st_mtim.tv_sec }
    let names = (try? Files.entries(of: path)) ?? []
    return names.map { lastWritten(path + "/" + $0) }.reduce(status.st_mtim.tv_sec, max)
  }
}
