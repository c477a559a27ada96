import Foundation
import Provenance

/// What `--version` prints.
package enum Version {
  /// The C library that the process runs with, which rounds `exp` and `log`.
  private static var libc: [(name: String, text: String)] {
    #if canImport(Glibc)
      var name = [CChar](repeating: 0, count: 64)
      guard (1...name.count).contains(confstr(Int32(_CS_GNU_LIBC_VERSION), &name, name.count))
      else {
        return []
      }
      let bytes = name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
      return [("libc", String(decoding: bytes, as: UTF8.self))]
    #else
      return []
    #endif
  }

  /// - Parameters:
  ///   - command: Name of the program.
  ///   - details: More lines, a name and what it is.
  package static func text(of command: String, _ details: [(name: String, text: String)] = [])
    -> String
  {
    let lines =
      [
        ("commit", Program.commit), ("build", "\(Program.build), \(Program.compiler)"),
        ("vectors", Program.vectors),
      ] + libc + details
    let width = 2 + (lines.map { $0.0.count }.max() ?? 0)
    let described = lines.map { name, text in
      name.padding(toLength: width, withPad: " ", startingAt: 0)
        + text.replacing("\n", with: "\n" + String(repeating: " ", count: width))
    }
    return (["\(command) \(Program.version)"] + described).joined(separator: "\n")
  }
}
