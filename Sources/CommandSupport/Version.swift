import Foundation
import Provenance

/// What `--version` prints.
package enum Version {
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
      ] + details
    let width = 2 + (lines.map { $0.0.count }.max() ?? 0)
    let described = lines.map { name, text in
      name.padding(toLength: width, withPad: " ", startingAt: 0)
        + text.replacing("\n", with: "\n" + String(repeating: " ", count: width))
    }
    return (["\(command) \(Program.version)"] + described).joined(separator: "\n")
  }
}
