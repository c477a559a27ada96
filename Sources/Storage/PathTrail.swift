import Foundation

/// What the system passes on its way to a file.
package enum PathTrail {
  /// The most links that are followed, as in the system itself.
  private static let mostLinks = 40

  /// Every folder that holds the file, a folder above it, or a link that leads there, and what the
  /// path leads to.
  ///
  /// Whoever removes one of them takes the file, or the way to it, along.
  package static func identities(to path: String) -> Set<Files.Identity> {
    var found: Set<Files.Identity> = []
    var links = 0
    // The last one comes first.
    var pending: [Substring] = path.split(separator: "/").reversed()
    var here = "/"
    if !path.hasPrefix("/") {
      pending += FileManager.default.currentDirectoryPath.split(separator: "/").reversed()
    }
    note(here, in: &found)
    while let name = pending.popLast() {
      if name == "." { continue }
      if name == ".." {
        here = Files.parent(of: here)
        continue
      }
      let next = here == "/" ? "/\(name)" : "\(here)/\(name)"
      if links < mostLinks, let target = link(next) {
        links += 1
        pending += target.split(separator: "/").reversed()
        if target.hasPrefix("/") { here = "/" }
        continue
      }
      here = next
      note(here, in: &found)
    }
    return found
  }

  /// Where a symbolic link leads; nil for anything else.
  package static func link(_ path: String) -> String? {
    try? FileManager.default.destinationOfSymbolicLink(atPath: path)
  }

  private static func note(_ path: String, in found: inout Set<Files.Identity>) {
    if let identity = try? Files.identity(of: path) { found.insert(identity) }
  }
}
