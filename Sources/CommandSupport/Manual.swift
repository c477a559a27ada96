package import ArgumentParser
import Foundation

/// Manual pages made of the help, in the macros of man(7).
package enum Manual {
  /// The page of section 1 of a command and its subcommands.
  package static func page(for command: any ParsableCommand.Type) throws -> String {
    let root = try CommandInfo(of: command)
    let name = escaped(root.commandName)
    var lines = [
      ".TH \(name.uppercased()) 1 \"\" \"billion\\-word\\-trainer\" \"User Commands\"", ".SH NAME",
      "\(name) \\- \(escaped(lowercased(root.abstract ?? "")))", ".SH SYNOPSIS", ".B \(name)",
      root.shownSubcommands.isEmpty ? "[\\fIoptions\\fR]" : "\\fIsubcommand\\fR [\\fIoptions\\fR]",
    ]
    if let discussion = root.discussion { lines += [".SH DESCRIPTION"] + text(discussion) }
    lines += options(of: root, heading: ".SH OPTIONS", part: ".SS")
    for inner in root.shownSubcommands {
      lines += [".SH \(name.uppercased()) \(escaped(inner.commandName).uppercased())"]
      lines += [escaped(inner.abstract ?? "")] + text(inner.discussion ?? "", heading: ".SS")
      lines += options(of: inner, heading: ".PP", part: ".PP")
    }
    lines += [
      ".SH SEE ALSO",
      "lm\\-tokenize(1), lm\\-train(1), lm\\-eval(1), lm\\-sample(1), lm\\-bench(1)",
    ]
    return lines.joined(separator: "\n") + "\n"
  }

  // MARK: Layout

  private static func options(of command: CommandInfo, heading: String, part: String) -> [String] {
    let shown = (command.arguments ?? []).filter(\.shouldDisplay)
    var sections: [(title: String?, lines: [String])] = [(nil, [])]
    for argument in shown {
      let place = sections.firstIndex { $0.title == argument.sectionTitle }
      if place == nil { sections.append((argument.sectionTitle, [])) }
      sections[place ?? sections.count - 1].lines += describe(argument)
    }
    return [heading]
      + sections.flatMap { section in
        (section.title.map { ["\(part) \(escaped($0))"] } ?? []) + section.lines
      }
  }

  private static func describe(_ argument: ArgumentInfo) -> [String] {
    let names = (argument.names ?? []).map { "\\fB\(escaped($0.spelled))\\fR" }
      .joined(separator: ", ")
    let space = names.isEmpty ? "" : " "
    let value =
      argument.kind == "flag"
      ? "" : "\(space)\\fI\(escaped(argument.valueName ?? "value"))\\fR"
    var meaning = argument.abstract ?? ""
    if let values = argument.allValues { meaning += " Values: \(values.joined(separator: ", "))." }
    if let value = argument.defaultValue { meaning += " Default: \(value)." }
    return [".TP", names + value, escaped(meaning)]
  }

  /// Paragraphs are filled, what is indented stays as it is, and a line of capitals is a heading.
  private static func text(_ discussion: String, heading: String = ".SH") -> [String] {
    var result: [String] = []
    for paragraph in discussion.components(separatedBy: "\n\n") {
      var lines = paragraph.split(separator: "\n").map(String.init)
      if let first = lines.first, first == first.uppercased(), first.count > 2 {
        result.append("\(heading) \(escaped(first))")
        lines.removeFirst()
      }
      guard !lines.isEmpty else { continue }
      if lines.contains(where: { $0.hasPrefix(" ") }) {
        result += [".nf"] + lines.map(escaped) + [".fi"]
      } else {
        result += [".PP"] + lines.map(escaped)
      }
    }
    return result
  }

  private static func lowercased(_ abstract: String) -> String {
    abstract.prefix(1).lowercased() + abstract.dropFirst()
  }

  /// Text with everything escaped that has a meaning for troff, in ASCII.
  private static func escaped(_ text: String) -> String {
    var safe = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": safe += "\\e"
      case "-": safe += "\\-"
      case _ where scalar.isASCII: safe.unicodeScalars.append(scalar)
      default:
        let digits = String(scalar.value, radix: 16, uppercase: true)
        safe += "\\[u" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits + "]"
      }
    }
    return safe.hasPrefix(".") || safe.hasPrefix("'") ? "\\&" + safe : safe
  }
}
