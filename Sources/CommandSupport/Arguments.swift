package import ArgumentParser
import Foundation

/// The command line before ArgumentParser parses it, and after it has failed to.
package enum Arguments {
  /// Joins negative numbers to the option before them, as ArgumentParser takes `-5` for an option:
  /// `--steps -5` becomes `--steps=-5`.
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

  /// One sentence about the first unknown subcommand or option, with the one that was probably meant;
  /// nil if all are known.
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
      if let hint = FamiliarOptions.hint(name, known: known) {
        return "Unknown option '\(name)': \(hint)"
      }
      return "Unknown option '\(name)'"
        + suggestion(name, of: known + EarlierOptions.earlierNames(of: known))
    }
    return nil
  }

  /// Options that every command has.
  private static let commonOptions = [
    "--help", "--help-hidden", "--generate-completion-script", "--experimental-dump-help",
    "--generate-manual",
  ]

  /// A question with the known name nearest to an unknown one; empty if none is near enough for a typo.
  private static func suggestion(_ name: String, of known: some Sequence<String>) -> String {
    let nearest = known.sorted().map { (name: $0, distance: distance(name, $0)) }
      .min { $0.distance < $1.distance }
    // Half of the letters, at most three, may be wrong.
    let letters = name.drop { $0 == "-" }.count
    guard let nearest, nearest.distance <= max(1, min(3, letters / 2)) else { return "" }
    return ". Did you mean '\(EarlierOptions.current(nearest.name))'?"
  }

  /// The edit distance of two texts: insertions, deletions, substitutions and transpositions of
  /// neighbours.
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

  /// Arguments as one line for a shell, quoted where they must be.
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
