import Foundation

/// Memory of this process.
package enum ProcessMemory {
  /// Resident bytes: its own and those of the program and its libraries.
  package static var resident: Int {
    // Sizes in pages: virtual, resident, and more.
    guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8),
      let pages = text.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
    else { return 0 }
    return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
  }
}
