package import ArgumentParser
import Foundation

/// What people type, before and after ArgumentParser has seen it.
package enum Arguments {
  /// Negative numbers joined to the option before them, which would be taken for an option otherwise:
  /// `--steps -5` is a number of steps that is refused, not an option `-5`.
  package static func joiningNegativeNumbers(_ arguments: [String]) -> [String] {
    var result: [String] = []
    var isOver = false
    for argument in arguments {
      isOver = isOver || argument == "--"
      if !isOver, Double(argument) != nil, argument.hasPrefix("-"), let last = result.last,
        last.hasPrefix("--"), last.count > 2, !last.contains("=")
      {
        result[result.count - 1] = last + "=" + argument
      } else {
        result.append(argument)
      }
    }
    return result
  }

  /// One sentence about the first subcommand or option that a command does not have, with the one that
  /// may have been meant; nil if it has them all.
  package static func unknown(
    in arguments: [String], of command: any ParsableCommand.Type
  ) -> String? {
    guard let root = try? CommandInfo(of: command) else { return nil }
    let subcommands = root.subcommands ?? []
    let named = subcommands.first { $0.commandName == arguments.first }
    if let first = arguments.first, !first.hasPrefix("-"), !subcommands.isEmpty, named == nil {
      return "Unknown subcommand '\(first)'" + suggestion(first, of: subcommands.map(\.commandName))
    }
    let known = root.optionNames + (named?.optionNames ?? []) + commonOptions
    for argument in arguments.prefix(while: { $0 != "--" }) where argument.hasPrefix("--") {
      let name = String(argument.prefix { $0 != "=" })
      guard name.count > 2, !known.contains(name) else { continue }
      if let named {
        let start =
          "Unknown option '\(name)' of \(root.commandName) \(named.commandName); \(root.commandName) "
        if let other = subcommands.first(where: { $0.optionNames.contains(name) }) {
          return start + "\(other.commandName) has it"
        }
        if let other = subcommands.first(where: { "--\($0.commandName)" == name }) {
          return start + "\(other.commandName) is a subcommand of its own"
        }
      }
      return "Unknown option '\(name)'" + suggestion(name, of: known)
    }
    return nil
  }

  /// What every command has.
  private static let commonOptions = [
    "--help", "--help-hidden", "--generate-completion-script", "--experimental-dump-help",
    "--generate-manual",
  ]

  /// The known name that is nearest to one that is not, if it is near enough for a slip.
  private static func suggestion(_ name: String, of known: some Sequence<String>) -> String {
    let nearest = known.sorted().map { (name: $0, distance: distance(name, $0)) }
      .min { $0.distance < $1.distance }
    // As many slips as a name of that length may have.
    let letters = name.drop { $0 == "-" }.count
    guard let nearest, nearest.distance <= max(1, min(3, letters / 2)) else { return "" }
    return ". Did you mean '\(nearest.name)'?"
  }

  /// Insertions, deletions, changes and swaps of neighbours that make one text of another.
  package static func distance(_ first: String, _ second: String) -> Int {
    let (a, b) = (Array(first.utf8), Array(second.utf8))
    var rows = [Array(0...b.count)]
    for i in a.indices {
      var row = [i + 1]
      for j in b.indices {
        var least = min(rows[i][j + 1] + 1, row[j] + 1, rows[i][j] + (a[i] == b[j] ? 0 : 1))
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
          least = min(least, rows[i - 1][j - 1] + 1)
        }
        row.append(least)
      }
      rows.append(row)
    }
    return rows[a.count][b.count]
  }

  /// Words as one line for a shell, each as it is or between quotes.
  package static func line(_ words: [String]) -> String {
    words.map { word in
      let plain = word.utf8.allSatisfy {
        ($0 | 0x20) >= UInt8(ascii: "a") && ($0 | 0x20) <= UInt8(ascii: "z")
          || "0123456789_@%+=:,./-".utf8.contains($0)
      }
      if plain, !word.isEmpty { return word }
      return "'" + word.replacingOccurrences(of: "'", with: "'\\''") + "'"
    }.joined(separator: " ")
  }
}

/// What the commands say of their exit codes.
package enum ExitStatus {
  /// A section of the help and of the manual page.
  package static let help = """


    EXIT STATUS

      0      done
      1      failed: one sentence on standard error says why
      2      an option that is missing, unknown or has a value that cannot be
      128+N  ended by signal N: 130 after Ctrl-C, 143 after SIGTERM
    """
}
